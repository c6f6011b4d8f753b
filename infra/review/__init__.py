"""The review of a stack's resources before they exist."""
