"""Take files into the spool of the API, and register them durably."""
