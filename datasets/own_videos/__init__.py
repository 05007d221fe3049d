"""Frame records out of a person's own videos from fixed cameras."""
