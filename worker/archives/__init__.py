"""Detect zip and tar archives and unpack them into the spool."""
