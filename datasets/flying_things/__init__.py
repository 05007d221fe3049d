"""FlyingThings3D: rendered things in flight."""
