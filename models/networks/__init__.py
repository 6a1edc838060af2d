"""Build, load and run Keras networks."""
