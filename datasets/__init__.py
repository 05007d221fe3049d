"""Dataset builders: raw files to prepared shards that posejax reads."""
