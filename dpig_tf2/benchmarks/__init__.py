"""The measurements of `dpig benchmark`: this package beside the reference of the same method."""
