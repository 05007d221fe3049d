"""The poses of Human3.6M in three and two dimensions, without pictures."""
