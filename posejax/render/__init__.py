"""posejax.render."""
