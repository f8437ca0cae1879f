"""The networks: tensors and plain constructor arguments."""
