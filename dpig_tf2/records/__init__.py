"""The tf-record format on disk."""
