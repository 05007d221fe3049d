"""configs.bases."""
