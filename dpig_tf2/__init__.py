"""TensorFlow 2 implementation of Disentangled Person Image Generation."""
