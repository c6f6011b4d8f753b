"""Metric alarms decided as CloudWatch decides them."""
