"""Drills: a fault, a runbook, an outside observer, and what recovery took and lost."""
