"""flow_pose: optical flow and the joint optimisation on real frames, results."""
