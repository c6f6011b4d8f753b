"""Corrections of moto: cloudwatch."""
