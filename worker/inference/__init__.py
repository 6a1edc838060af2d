"""Load the models that the routing rules name, and run them on prepared frames."""
