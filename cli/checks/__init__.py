"""What `nightread doctor` looks at."""
