"""Form the results of series that are due."""
