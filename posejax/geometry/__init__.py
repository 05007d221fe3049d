"""posejax.geometry."""
