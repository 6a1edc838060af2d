"""Copy the whole database while it is in use, and put a copy back."""
