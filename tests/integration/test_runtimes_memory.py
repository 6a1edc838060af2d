"""A network that needs more memory than there is runs in smaller micro-batches, with ONNX Runtime as with Keras."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import resource
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from test_models_bundle import make_bundle

from imaging.spec import InputSpec, Intensity
from models.bundle import save_bundle
from models.onnx_signature import OnnxSignature
from models.runtimes.onnx_network import load_onnx_network
from worker.inference.predictor import Predictor

# 200 MB for each image: 64 values, repeated 800,000 times.
spec = InputSpec(height=8, width=8, channels=1, intensity=Intensity(kind="full"))
graph = helper.make_graph(
    [
        helper.make_node("Reshape", ["images", "flat"], ["row"]),
        helper.make_node("Tile", ["row", "times"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Concat", ["mean", "mean"], ["scores"], axis=1),
    ],
    "large",
    [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 8, 8, 1])],
    [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])],
    [
        numpy_helper.from_array(np.array([-1, 64], np.int64), "flat"),
        numpy_helper.from_array(np.array([1, 800_000], np.int64), "times"),
    ],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
bundle = make_bundle(spec=spec, onnx=OnnxSignature(input="images", output="scores", opset=17))
network = load_onnx_network(
    save_bundle(bundle, Path(sys.argv[1]), save_onnx=lambda path: onnx.save(model, path))
)
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")) * 1024
predictor = Predictor(bundle, network, largest=16)
inputs = np.full((20, 8, 8, 1), 0.25, np.float32)
resource.setrlimit(resource.RLIMIT_AS, (used + 2 * 2**30,) * 2)
print(np.allclose(predictor.scores(inputs), 0.25), predictor.largest)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is that of Linux")
def test_onnx_runtime_without_memory_gets_smaller_micro_batches(tmp_path: Path) -> None:
    """Sixteen images do not fit, fewer do; all are scored."""
    paths = f"{ROOT}:{ROOT / 'tests'}:{ROOT / 'tests' / 'unit'}"
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        env={"PYTHONPATH": paths, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[0] == "True"
    assert int(ran.stdout.split()[1]) < 16
