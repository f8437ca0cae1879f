"""The measurements of `dpig benchmark`: this package beside a plain form of the same method."""
