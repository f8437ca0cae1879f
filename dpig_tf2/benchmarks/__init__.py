"""The measurements of `dpig benchmark`: this package beside the plain method."""
