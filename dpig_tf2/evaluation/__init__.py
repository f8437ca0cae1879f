"""Scores of generated images and poses."""
