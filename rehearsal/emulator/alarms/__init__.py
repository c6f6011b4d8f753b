"""Evaluation of metric alarms."""
