"""Simulate nights that stay the same and nights that change, and count what the drift alarm finds (docs/drift.md)."""
