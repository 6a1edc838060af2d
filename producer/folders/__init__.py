"""Find complete files in drop folders and register them."""
