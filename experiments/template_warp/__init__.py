"""template_warp: runs, tables, results."""
