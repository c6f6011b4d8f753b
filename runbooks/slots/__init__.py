"""The life of a slot beside another one: verify it, switch to it, go back, retire it."""
