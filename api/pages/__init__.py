"""Serve the web pages."""
