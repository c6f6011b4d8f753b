"""Routes of the public API, and its OpenAPI document."""
