"""Emulated EC2 instances as process groups: boot from user data, restart, power-off, and nothing left."""
