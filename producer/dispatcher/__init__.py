"""Form batches, publish them and take back lost ones."""
