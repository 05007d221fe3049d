"""HD1K: street scenes with measured flow."""
