"""Stateless tensor functions; they import nothing of this package."""
