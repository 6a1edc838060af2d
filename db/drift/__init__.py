"""Count the results of each night in bins, and compare them with the reference of the model (docs/drift.md)."""
