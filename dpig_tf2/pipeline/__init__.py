"""Decoded records to model batches."""
