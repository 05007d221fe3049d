"""datasets.human36m."""
