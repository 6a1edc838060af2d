"""Copy the whole database while it is in use, and restore a copy."""
