"""Take images over HTTP, and return their results."""
