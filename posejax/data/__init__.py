"""posejax.data."""
