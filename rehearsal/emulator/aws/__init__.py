"""Corrections of moto, by AWS service."""
