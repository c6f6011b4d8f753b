"""Corrections of moto: autoscaling."""
