"""Runbook pages: their grammar and its checks."""
