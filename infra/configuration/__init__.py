"""A stack's configuration: its file, its settings, and the checks that refuse it."""
