"""One trainer for each stage, and what a run needs."""
