"""Print results as tables and write them as files."""
