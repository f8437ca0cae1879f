"""Command-line programs: flags to one library call."""
