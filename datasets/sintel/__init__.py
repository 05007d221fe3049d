"""MPI Sintel: scenes of an animated film."""
