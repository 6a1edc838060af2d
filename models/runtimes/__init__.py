"""Load the network of a bundle with the runtime that fits: Keras or ONNX Runtime."""
