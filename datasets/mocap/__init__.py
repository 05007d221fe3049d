"""Poses out of motion capture files, seen by the cameras of Human3.6M."""
