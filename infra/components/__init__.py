"""Resources of a stack, one component a module."""
