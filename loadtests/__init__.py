"""Open-arrival load tests and the gate that judges them."""
