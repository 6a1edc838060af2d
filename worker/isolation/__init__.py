"""Find the image that killed a process, and read suspicious images in a disposable process first."""
