"""Programs that run in a peer's own environment, where only its packages, numpy and these modules are."""
