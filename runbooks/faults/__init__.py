"""Faults that a drill injects into a real fleet, each with the proof that it took effect."""
