"""Import ONNX files in the sandbox: inspect the graph, rewrite it to take images and return scores, and run it."""
