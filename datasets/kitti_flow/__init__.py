"""KITTI 2015: street scenes with measured flow."""
