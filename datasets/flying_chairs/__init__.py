"""FlyingChairs: drawn chairs before photographs."""
