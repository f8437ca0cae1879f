"""Released TensorFlow 1 checkpoints to our run folders."""
