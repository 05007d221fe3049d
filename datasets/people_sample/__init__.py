"""datasets.people_sample."""
