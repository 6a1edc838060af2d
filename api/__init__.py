"""Serve the HTTP API and the pages: send an image, read results (docs/api.md)."""
