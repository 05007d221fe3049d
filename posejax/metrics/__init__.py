"""posejax.metrics."""
