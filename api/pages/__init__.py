"""Serve the pages: what an operator and a reader open in the morning."""
