"""Choose the images of a re-run, and wait for their results."""
