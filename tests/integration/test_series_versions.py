"""`nightread models for-series` makes, from a bundle, a version that also gives results for whole series."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from cli.models import models_command
from models.bundle import CARD_FILE, load_bundle
from models.runtimes.sequence_head import load_head
from nightread.errors import StopWork, UsageFault


def for_series(tmp_path: Path, *arguments: str) -> Result:
    """Run the command on the shipped bundle."""
    out = ["--version", "9", "--out", str(tmp_path / "made"), "--state", str(tmp_path)]
    return CliRunner().invoke(models_command, ["for-series", "phantom", *out, *arguments])


def write_head(path: Path, *, labels: int = 2) -> None:
    """Write a sequence head that returns the highest score of each label."""
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, "slices", labels])
    series = helper.make_tensor_value_info("series", TensorProto.FLOAT, [1, labels])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    node = helper.make_node("ReduceMax", ["scores", "axes"], ["series"], keepdims=0)
    graph = helper.make_graph([node], "head", [scores], [series], initializer=[axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, path)


def test_the_new_version_has_the_unit_series(tmp_path: Path) -> None:
    """Its digest covers how slices become a series."""
    assert for_series(tmp_path, "--aggregate", "top_k", "--count", "5", "--minimum-slices", "9").exit_code == 0
    made = load_bundle(tmp_path / "made")
    assert made.series is not None
    assert (made.version, made.series.aggregate, made.series.count, made.series.rules.minimum_slices) == (
        "9",
        "top_k",
        5,
        9,
    )
    card = json.loads((tmp_path / "made" / CARD_FILE).read_text())
    assert card["unit"] == "series"
    (tmp_path / "made" / CARD_FILE).write_text(json.dumps(card | {"series": card["series"] | {"count": 4}}))
    with pytest.raises(StopWork, match="wrong digest"):
        load_bundle(tmp_path / "made")


def test_a_sequence_head_travels_in_the_bundle(tmp_path: Path) -> None:
    """It is run by ONNX Runtime for any number of slices."""
    write_head(tmp_path / "own.onnx")
    assert for_series(tmp_path, "--aggregate", "head", "--head", str(tmp_path / "own.onnx")).exit_code == 0
    made = load_bundle(tmp_path / "made")
    scores = np.array([[0.75, 0.25], [0.5, 0.5], [1, 0]], np.float32)
    assert load_head(made)(scores).tolist() == [1, 0.5]
    (tmp_path / "made" / "head.onnx").write_bytes(b"other")
    with pytest.raises(StopWork, match=r"head\.onnx was changed"):
        load_bundle(tmp_path / "made")


def test_a_head_for_other_labels_is_refused(tmp_path: Path) -> None:
    """Nothing is written then."""
    write_head(tmp_path / "own.onnx", labels=3)
    result = for_series(tmp_path, "--aggregate", "head", "--head", str(tmp_path / "own.onnx"))
    assert result.exit_code != 0
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--aggregate", "run"), "thresholds must name nodule"),
        (("--aggregate", "head"), "--aggregate head and --head FILE belong together"),
        (("--aggregate", "max", "--threshold", "mass", "0.5"), "is not a finding of the bundle"),
    ],
)
def test_values_that_do_not_fit_are_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """The message says what to give."""
    result = for_series(tmp_path, *arguments)
    assert isinstance(result.exception, UsageFault)
    assert message in str(result.exception)


def test_a_version_that_exists_is_refused(tmp_path: Path) -> None:
    """Results refer to it."""
    arguments = ["for-series", "phantom", "--version", "1.1", "--aggregate", "max", "--state", str(tmp_path)]
    result = CliRunner().invoke(models_command, arguments)
    assert isinstance(result.exception, UsageFault)
    assert "give a new --version" in str(result.exception)
