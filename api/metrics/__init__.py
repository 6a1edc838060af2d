"""Compute the metrics for Prometheus from the database (docs/metrics.md)."""
