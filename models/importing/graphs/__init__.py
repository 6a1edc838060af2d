"""Import ONNX files in the sandbox: inspect the graph, rewrite it to images in and scores out, and run it."""
