"""An AWS in one process tree: deploy, load, break and recover on one machine."""
