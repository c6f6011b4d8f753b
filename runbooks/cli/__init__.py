"""The verbs of `python -m runbooks`."""
