"""Unpack zip and tar archives into the spool."""
