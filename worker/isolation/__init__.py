"""Find out which image killed a process, and read suspicious images in a process that may die."""
