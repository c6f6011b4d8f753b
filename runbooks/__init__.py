"""Runbooks that a person reads and a runner executes, and the drills that prove them."""
