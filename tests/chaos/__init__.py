"""Inject faults into the whole system at random moments, and check that no image is lost: docs/chaos.md."""
