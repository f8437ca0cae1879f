"""Pictures for people: sheets, skeletons, labels."""
