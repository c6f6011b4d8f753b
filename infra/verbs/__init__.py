"""The verbs of `python -m infra`, one module each."""
