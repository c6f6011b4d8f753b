"""The outside observer: canaries, probes and a ledger of acknowledged writes."""
