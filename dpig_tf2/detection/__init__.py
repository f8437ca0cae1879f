"""Poses and masks found in photos, and persons cut out of them; needs no TensorFlow."""
