"""A newcomer brings an ONNX file of PyTorch with ten golden images and serves it, by docs/bundles.md alone."""

import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import foreign_graphs
import numpy as np
import pytest
from nightread_process import NIGHTREAD, images
from pasted_commands import DOCS, commands_of

from models.phantoms.dicom import PhantomStyle, phantom_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HEADING = "Bring a network: from PyTorch to results in five minutes"
SIDE = 224
LONGEST_SECONDS = 300
GOLDEN, SCANS = 10, 4


def films(folder: Path, first: int, count: int) -> None:
    """Write chest films of several depths, some of them MONOCHROME1."""
    folder.mkdir()
    for index in range(first, first + count):
        style = PhantomStyle(bits=(8, 12, 16)[index % 3], syntax="explicit", monochrome1=index % 4 == 1)
        content, _ = phantom_file(seed=8, index=index, style=style)
        (folder / f"film-{index:02}.dcm").write_bytes(content)


def author_input(path: Path) -> Any:
    """Return the film as the author's network takes it: the code of the page, (1, height, width)."""
    names: dict[str, Any] = {}
    exec(python_block("Golden images").partition("session = ")[0], names)  # noqa: S102
    return names["prepare"](path)[0]


def python_block(title: str) -> str:
    """Return the first Python block of the page below a heading of the third level."""
    section = (DOCS / "bundles.md").read_text("utf-8").partition(f"\n### {title}\n")[2]
    found = re.search(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Return the newcomer's folder: the network as PyTorch writes it, golden images with scores, and scans."""
    films(tmp_path / "golden", 0, GOLDEN)
    model = foreign_graphs.torch_net(side=SIDE)
    foreign_graphs.train(model, [author_input(path) for path in sorted((tmp_path / "golden").glob("*.dcm"))])
    foreign_graphs.save(model, tmp_path / "net.onnx")
    films(tmp_path / "scans", GOLDEN, SCANS)
    (tmp_path / "golden.py").write_text(python_block("Golden images"))
    subprocess.run([sys.executable, "golden.py"], cwd=tmp_path, check=True, capture_output=True, text=True)
    return tmp_path


def follow(folder: Path) -> dict[str, str]:
    """Run the commands of the page in the folder and return what each printed, by its first three words."""
    path = f"{Path(NIGHTREAD).parent}:{os.environ['PATH']}"
    printed = {}
    for command in commands_of("bundles.md", HEADING):
        began = time.monotonic()
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=folder,
            env={"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        printed[" ".join(command.split()[:3])] = done.stdout
        print(f"{time.monotonic() - began:6.1f} s  {command.splitlines()[0]}\n{done.stdout}{done.stderr}")
    return printed


def test_a_newcomer_serves_a_network_of_pytorch(desk: Path) -> None:
    """The scores of the scans are those of the author's program, and all commands together take less than five minutes.

    `pytest -rP` shows what the commands print and how long they take.
    """
    began = time.monotonic()
    printed = follow(desk)
    assert time.monotonic() - began < LONGEST_SECONDS
    assert "Verified with 10 golden images" in printed["nightread models import"]
    assert "opset 17, written by pytorch" in printed["nightread models import"]

    (desk / "golden.py").write_text(python_block("Golden images").replace("golden", "scans"))
    subprocess.run([sys.executable, "golden.py"], cwd=desk, check=True, capture_output=True, text=True)
    with (desk / "scans" / "scans.csv").open(newline="") as file:
        expected = {row["file"]: float(row["nodule"]) for row in csv.DictReader(file)}
    rows = images(desk / ".nightread")
    assert {row["state"] for row in rows if row["uri"].endswith(".dcm")} == {"done"}
    found = {Path(row["uri"]).name: row["scores"]["nodule"] for row in rows if row["uri"].endswith(".dcm")}
    assert found.keys() == expected.keys()
    for name, score in expected.items():
        assert found[name] == pytest.approx(score, abs=1e-4)
    assert np.ptp(list(expected.values())) > 0.01
    record = json.loads((desk / ".nightread" / "bundles" / "chest-torch-1.0" / "import.json").read_text())
    assert (record["runtime"], record["graph"]["layout"]) == ("onnx", "NCHW")
