"""Explain findings in a process of its own (docs/decisions/0022-regions-in-the-pacs.md)."""
