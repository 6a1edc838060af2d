"""Turn command-line options into settings, times and database connections."""
