"""posejax.procedures."""
