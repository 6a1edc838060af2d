"""The checks that network, card and golden files fit each other; no network is loaded."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from imaging.spec import InputSpec, Intensity
from models.bundle import Bundle
from models.importing.alternatives import alternatives, closest
from models.importing.card import bundle_from_card
from models.importing.checks import check
from models.importing.comparison import compare
from models.importing.convert import Conversion
from models.importing.errors import RefusedModel
from models.importing.golden import read_golden
from models.importing.graph_facts import GraphFacts
from models.importing.graph_options import FREE
from models.importing.private_copy import Copied

CARD: dict[str, Any] = {
    "name": "toy",
    "version": "1.0",
    "labels": ["clear", "nodule"],
    "normal_label": "clear",
    "activation": "softmax",
    "input": {"height": 8, "width": 8, "channels": 1, "intensity": {"kind": "full"}},
    "intended_use": "tests",
}


GRAPH = GraphFacts(
    onnxruntime="1.32.0",
    opset=17,
    ir_version=8,
    producer="pytorch 2.9.0",
    layout="NCHW",
    source="x (float32)",
    target="y (float32)",
    input_type="float32",
    batch=FREE,
    added=(),
    input="images",
    output="scores",
)


def found(**changes: Any) -> Conversion:
    values: dict[str, Any] = {
        "keras": "3",
        "backend": "tensorflow",
        "input_shape": (8, 8, 1),
        "output_shape": (2,),
        "parameters": 10,
        "activation": "softmax",
        "bad_weights": (),
        "probes": np.array([[0.25, 0.75]]),
        "scores": np.empty((0, 2)),
        "confinement": {},
        "path": Path("model.keras"),
        "original": Copied(size=1, sha256="0" * 64),
    }
    return Conversion(**(values | changes))


@pytest.fixture
def bundle() -> Bundle:
    return bundle_from_card(CARD)


@pytest.fixture
def golden_folder(tmp_path: Path) -> Path:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((8, 8), 50 * number, np.uint8))
    (tmp_path / "golden.csv").write_text("file,nodule,clear\n0.png,0.1,0.9\n1.png,0.2,0.8\n2.png,0.7,0.3\n")
    return tmp_path


def test_a_network_that_fits_its_card_passes(bundle: Bundle) -> None:
    """A network for images of any size passes, too."""
    check(bundle, found())
    check(bundle, found(input_shape=(None, None, 1)))


def test_a_forest_whose_shares_add_up_to_a_little_more_than_one_passes(bundle: Bundle, golden_folder: Path) -> None:
    """A thousand trees that agree give float32 scores up to 1.000014; those of its author are the same."""
    scores = np.array([[1.000014, 0.0]] * 3)
    check(bundle, found(probes=scores))
    golden = replace(read_golden(golden_folder, bundle.labels), scores=scores)
    assert compare(bundle, Path("none"), golden, scores).largest == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_shape": (28, 28, 1)}, "expects images of 28x28x1, but --input is 8x8x1.*Give --input 28x28x1"),
        ({"input_shape": (1, 8, 8)}, "channels first"),
        ({"output_shape": (3,)}, "has 3 outputs, but --labels has 2: clear, nodule"),
        ({"output_shape": (1,)}, "--labels FINDING --normal-label NAME --activation sigmoid"),
        ({"bad_weights": ("dense/kernel",)}, r"NaN or infinity \(dense/kernel\)"),
        ({"activation": "sigmoid"}, "last layer of the network is sigmoid, but --activation is softmax"),
        ({"activation": "linear", "probes": np.array([[-3.0, 5.0]])}, "from -3 to 5.*these are logits"),
        (
            {"activation": None, "probes": np.array([[-3.0, 5.0]]), "graph": GRAPH},
            r"from -3 to 5.*Give --logits \(in a card: logits = true\): nightread then adds softmax",
        ),
        ({"graph": replace(GRAPH, input_type="uint8")}, r"takes whole numbers.*Give --scale 0\.\.255"),
        ({"activation": None, "probes": np.array([[0.9, 0.9]])}, "do not add up to 1"),
        ({"probes": np.array([[np.nan, 0.5]])}, "NaN or infinity"),
    ],
)
def test_a_network_that_does_not_fit_its_card_is_refused(bundle: Bundle, changes: dict[str, Any], message: str) -> None:
    """The message says what is wrong and what to do."""
    with pytest.raises(RefusedModel, match=message):
        check(bundle, found(**changes))


def test_golden_files_are_read_in_the_order_of_the_labels(bundle: Bundle, golden_folder: Path) -> None:
    """The order of the columns does not matter. Images are prepared with the code of the worker."""
    golden = read_golden(golden_folder, bundle.labels)
    assert golden.scores.tolist() == [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]
    assert np.allclose(golden.inputs(bundle.spec)[:, 0, 0, 0], [0, 50 / 255, 100 / 255], atol=1e-6)


def test_golden_files_as_json(bundle: Bundle, golden_folder: Path) -> None:
    """A list of objects holds the same content."""
    table = golden_folder / "golden.json"
    table.write_text(json.dumps([{"file": "1.png", "scores": {"clear": 0.8, "nodule": 0.2}}]))
    assert read_golden(table, bundle.labels).scores.tolist() == [[0.8, 0.2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,clear\n0.png,1\n", r"does not have a number for each label \(clear, nodule\)"),
        ("file,clear,nodule\n0.png,1,high\n", "does not have a number for each label"),
        ("file,clear,nodule\n", "lists 0 images"),
        ("image,clear,nodule\n0.png,1,0\n", "every row needs `file`"),
        ("file,clear,nodule\nnone.png,1,0\n", r"none\.png cannot be read"),
        ("file,clear,nodule\n../../etc/passwd,1,0\n", "outside of its folder"),
        ("file,clear,nodule\ngolden.csv,1,0\n", r"golden\.csv cannot be prepared"),
        ("file,clear,nodule\n0.png,0,93,0,07\n", "line 2 has 5 values for 3 columns. Write decimal points"),
        ("file,clear,nodule,nodule\n0.png,0.9,0.1,0.5\n", "the column nodule occurs twice"),
        ("file,Clear,Nodule\n0.png,0.9,0.1\n", "It has: file, Clear, Nodule. Give one column per label"),
        ("file,clear,nodule\n0.png,nan,0.1\n", "does not have a number for each label"),
        ("file,clear,nodule\n0.png,0.9,0.1\n0.png,0.1,0.9\n", "0.png and 0.png are the same image with different"),
        ("File,clear,nodule\n0.png,0.9,0.1\n", "every row needs `file`.* It has the columns File, clear, nodule"),
        ("file,frame,clear,nodule\n0.png,3,1,0\n", "does not have the named frame"),
    ],
)
def test_an_invalid_golden_table_is_refused(bundle: Bundle, golden_folder: Path, text: str, message: str) -> None:
    """The message names the row and the reason."""
    (golden_folder / "golden.csv").write_text(text)
    with pytest.raises(RefusedModel, match=message):
        read_golden(golden_folder, bundle.labels).inputs(bundle.spec)


@pytest.mark.parametrize(
    "text",
    [
        "file;clear;nodule\r\n1.png;0,8;0,2\r\n",
        "file\tclear\tnodule\n1.png\t0.8\t0.2\n",
        'file, clear, nodule\n1.png,"0,8","0,2"\n,,\n',
    ],
)
def test_a_golden_table_may_come_from_a_spreadsheet(bundle: Bundle, golden_folder: Path, text: str) -> None:
    """Semicolons, tabs, decimal commas, spaces around names and empty rows have only one meaning."""
    (golden_folder / "golden.csv").write_text(text, encoding="utf-8-sig", newline="")
    assert read_golden(golden_folder, bundle.labels).scores.tolist() == [[0.8, 0.2]]


def test_a_golden_table_in_utf_16_is_refused(bundle: Bundle, golden_folder: Path) -> None:
    """PowerShell and spreadsheets write it; the message says what to save instead."""
    (golden_folder / "golden.csv").write_text("file,clear,nodule\n1.png,0.8,0.2\n", encoding="utf-16")
    with pytest.raises(RefusedModel, match="Save it as CSV in UTF-8"):
        read_golden(golden_folder, bundle.labels)


def test_scores_within_a_ten_thousandth_are_equal(bundle: Bundle, golden_folder: Path) -> None:
    """The record contains digests and differences, but no names of files."""
    golden = read_golden(golden_folder, bundle.labels)
    comparison = compare(bundle, Path("none"), golden, golden.scores + 5e-5)
    record = comparison.to_json()
    assert record["largest_difference"] == pytest.approx(5e-5)
    assert record["spread_of_scores"] == pytest.approx(0.6)
    assert len(record["examples"]) == 3
    assert "png" not in json.dumps(record)


def test_labels_in_another_order_are_refused_and_the_order_is_named(bundle: Bundle, golden_folder: Path) -> None:
    """No preprocessing is tried, because the scores themselves are equal."""
    golden = read_golden(golden_folder, bundle.labels)
    with pytest.raises(RefusedModel, match=r"the labels are in another order.*--labels nodule,clear\."):
        compare(bundle, Path("none"), golden, golden.scores[:, ::-1])


def test_golden_logits_are_refused(bundle: Bundle, golden_folder: Path) -> None:
    """An author may have saved the values before the softmax."""
    golden = replace(read_golden(golden_folder, bundle.labels), scores=np.array([[3.0, -4.0]] * 3))
    with pytest.raises(RefusedModel, match=r"from -4 to 3\. Give the scores in 0\.\.1: the output .* softmax"):
        compare(bundle, Path("none"), golden, golden.scores)


def test_alternatives_contain_the_most_common_ways_of_preprocessing() -> None:
    """Each alternative differs from the given spec and is described by options of the command."""
    spec = InputSpec(height=8, width=8, channels=3, intensity=Intensity(kind="voi"))
    options = dict(alternatives(spec))
    assert options["--scale 0..255"].scale_high == 255
    assert (options["--scale 1..0 (inverted)"].scale_low, options["--scale 1..0 (inverted)"].scale_high) == (1, 0)
    assert options["--channel-order bgr"].channel_order == "bgr"
    assert options["--scale 0..255 --aspect pad"].aspect == "pad"
    assert spec not in options.values()
    assert any("Caffe" in option for option in options)


def test_the_closest_alternative_is_the_one_with_the_smallest_largest_difference() -> None:
    """The largest differences are 0.3, 0.1 and 0.2."""
    golden = np.array([[0.5, 0.5]])
    candidates = [np.array([[0.8, 0.5]]), np.array([[0.4, 0.6]]), np.array([[0.5, 0.3]])]
    assert closest(golden, candidates) == (1, pytest.approx(0.1))


def test_a_golden_frame_that_is_not_a_number_is_refused(bundle: Bundle, golden_folder: Path) -> None:
    """JSON allows values of any type."""
    row = {"file": "0.png", "frame": [1], "scores": {"clear": 0.9, "nodule": 0.1}}
    (golden_folder / "g.json").write_text(json.dumps([row]))
    with pytest.raises(RefusedModel, match=r"the frame of 0\.png is not a number"):
        read_golden(golden_folder / "g.json", bundle.labels)


def test_control_characters_from_the_sandbox_are_replaced() -> None:
    """Names of weights are foreign text."""
    conversion = found()
    values = {**vars(conversion), "bad_weights": ["a\x1b[2Jb"], "probes": [], "scores": []}
    assert Conversion.from_json(values, Path("model.keras"), conversion.original).bad_weights == ("a?[2Jb",)


def test_facts_of_a_graph_from_the_sandbox_are_not_trusted() -> None:
    """Control characters are replaced, and another layout is refused."""
    values = GRAPH.to_json() | {"producer": "a\x1b[2Jb", "added": ["Cast"]}
    assert GraphFacts.from_json(values).producer == "a?[2Jb"
    with pytest.raises(ValueError, match="not in tuple"):
        GraphFacts.from_json(values | {"layout": "CHWN"})
