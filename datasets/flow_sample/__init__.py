"""Drawn pairs of frames with exact optical flow."""
