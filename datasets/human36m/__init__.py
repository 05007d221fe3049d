"""Human3.6M frames, cropped to people."""
