"""Stateless tensor functions; of this package they import `execution`, `errors` and `io` only."""
