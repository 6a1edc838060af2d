"""Measure a GPU host: `make bench-gpu`; docs/gpu.md explains the table.

The parent process needs only Python. Each group of rows runs in a process of its own, with its own time budget: if a
group fails or takes too long, the other groups are still measured.
"""
