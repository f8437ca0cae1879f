"""Raw folders and synthetic persons to tf-records."""
