"""Simulate nights with and without changes, and count the alarms of drift (docs/drift.md)."""
