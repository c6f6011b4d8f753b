"""Drills: a fault, a runbook, an outside observer, and the measured recovery and loss."""
