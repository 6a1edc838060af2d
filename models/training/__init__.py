"""Train a network."""
