"""Rules of review over the recorded graph; docs/rules.md lists them."""
