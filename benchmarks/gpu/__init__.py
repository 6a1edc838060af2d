"""Measure a GPU host: `make bench-gpu`; docs/gpu.md explains the table.

The driver needs only Python. Each group of rows runs in a process of its own, with its own time budget: a group that
fails or takes too long costs no other row.
"""
