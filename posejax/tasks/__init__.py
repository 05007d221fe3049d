"""posejax.tasks."""
