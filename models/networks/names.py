"""Name the network architectures that nightread builds itself."""

CLASSIC, RESIDUAL, DETECTOR = OWN_NETWORKS = ("classic", "residual", "detector")
