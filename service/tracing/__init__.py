"""Traces: spans and their export."""
