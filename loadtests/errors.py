"""The error of a load test whose input, settings or fleet cannot be used."""

from __future__ import annotations


class LoadTestError(Exception):
    """Anything that ends a load test before its verdict; the message is a sentence for the user."""
