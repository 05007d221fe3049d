"""datasets.own_videos."""
