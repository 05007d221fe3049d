"""posture_pose: runs, tables."""
