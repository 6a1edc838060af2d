"""Import networks of other authors: inspect the file, convert it in a sandbox, compare scores, write a bundle."""
