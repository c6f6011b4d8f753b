"""The runner of a page, for a drill or with an operator."""
