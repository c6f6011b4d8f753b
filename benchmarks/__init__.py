"""How fast the real service is: ratios to bare hnswlib, measured in turns on the same processors."""
