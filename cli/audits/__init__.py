"""Compare the database with folders, queue and spool."""
