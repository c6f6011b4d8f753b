"""Load generation: open arrivals, queries and writes inside Locust."""
