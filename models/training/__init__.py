"""Train a network on a data set and save it as a bundle."""
