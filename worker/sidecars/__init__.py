"""Read non-image files that describe images."""
