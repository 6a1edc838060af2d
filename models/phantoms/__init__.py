"""Draw synthetic radiographs with known truth."""
