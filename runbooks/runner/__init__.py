"""The grammar of a runbook page, its lint, and the runner that obeys it."""
