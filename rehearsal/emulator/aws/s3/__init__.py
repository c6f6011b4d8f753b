"""Corrections of moto: s3."""
