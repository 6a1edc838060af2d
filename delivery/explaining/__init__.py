"""Explain findings in a process of its own: regions, heat maps and key images (docs/decisions/0022-regions-in-the-pacs.md)."""
