"""Turns numbers into machines: the sizing plan and the Pulumi program that provisions it."""
