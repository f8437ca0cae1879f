"""Export as SavedModel, ONNX and LiteRT."""
