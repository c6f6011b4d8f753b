"""What a strict reviewer would ask of the recorded graph, as functions; docs/rules.md lists them."""
