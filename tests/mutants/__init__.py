"""Mutation testing: change one expression or statement at a time, and check that a test fails (docs/mutants.md)."""
