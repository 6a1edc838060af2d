"""Foreign networks: looked through, loaded behind walls, compared with their author's own scores, made a bundle."""
