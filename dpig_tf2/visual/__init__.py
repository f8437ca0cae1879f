"""Pictures for people: sheets, skeletons, labels, charts, heat maps."""
