"""Load the network of a bundle for explanations."""

from models.bundle import Bundle
from models.runtimes.load import is_installed, load_network
from models.runtimes.network import Network
from nightread.runtime_names import AUTO, KERAS


def load_to_explain(bundle: Bundle) -> Network:
    """Load the network with Keras, whose gradients Grad-CAM needs, or else with ONNX Runtime. Raises StopWork."""
    with_keras = KERAS in bundle.runtimes and is_installed(KERAS)
    return load_network(bundle, KERAS if with_keras else AUTO, threads=0)
