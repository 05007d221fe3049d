"""posejax.importers."""
