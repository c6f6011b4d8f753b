"""Corrections of moto: ec2."""
