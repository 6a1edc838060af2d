"""Name the runtimes that networks run on, as settings, bundles and messages spell them."""

AUTO, KERAS, ONNX = "auto", "keras", "onnx"
RUNTIMES = (KERAS, ONNX)
