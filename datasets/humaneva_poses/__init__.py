"""The poses of HumanEva in three and two dimensions, without pictures."""
