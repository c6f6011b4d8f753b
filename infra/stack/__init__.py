"""Outputs and clients of a deployed stack."""
