"""Emulated EC2 instances as process groups."""
