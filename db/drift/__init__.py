"""Count by bins what a night looked like, and compare it with the reference of its model (docs/drift.md)."""
