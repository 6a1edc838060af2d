"""Write and read the files of `nightread backup`."""
