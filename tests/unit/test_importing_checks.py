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
from models.importing.card import bundle_from_card, graph_options_from_card, read_card
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
        ("file,frame,clear,nodule\n0.png,3,1,0\n", "does not have the named frame"),
    ],
)
def test_an_invalid_golden_table_is_refused(bundle: Bundle, golden_folder: Path, text: str, message: str) -> None:
    """The message names the row and the reason."""
    (golden_folder / "golden.csv").write_text(text)
    with pytest.raises(RefusedModel, match=message):
        read_golden(golden_folder, bundle.labels).inputs(bundle.spec)


def test_scores_within_a_ten_thousandth_are_equal(bundle: Bundle, golden_folder: Path) -> None:
    """The record contains digests and differences, but no names of files."""
    golden = read_golden(golden_folder, bundle.labels)
    comparison = compare(bundle, Path("none"), golden, golden.scores + 5e-5)
    record = comparison.to_json()
    assert record["largest_difference"] == pytest.approx(5e-5)
    assert record["spread_of_scores"] == pytest.approx(0.6)
    assert len(record["examples"]) == 3
    assert "png" not in json.dumps(record)


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


def test_missing_thresholds_get_defaults() -> None:
    """The default is the highest label for softmax and 0.5 for sigmoid; a given threshold stays."""
    assert bundle_from_card(CARD).postprocessing.thresholds == {"nodule": None}
    assert bundle_from_card(CARD | {"activation": "sigmoid"}).postprocessing.thresholds == {"nodule": 0.5}
    assert bundle_from_card(CARD | {"thresholds": {"nodule": 0.2}}).postprocessing.thresholds == {"nodule": 0.2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None, "intended_use": ""}, "Information is missing: give --labels, --intended-use"),
        ({"thresholds": {"nodle": 0.5}}, "belong to no finding: nodle"),
        ({"input": {"height": 8, "width": 8, "channels": 2, "intensity": {"kind": "full"}}}, "channels is 2"),
        ({"input": {"height": 8, "width": 8, "channels": 1, "intensity": {"kind": "window"}}}, "requires low < high"),
        ({"input": {"height": 8, "width": 8, "channels": 1, "size": 2, "intensity": {"kind": "full"}}}, "size"),
        ({"name": "Toy Net"}, "lower-case"),
    ],
)
def test_an_invalid_card_is_refused(changes: dict[str, Any], message: str) -> None:
    """The message names the option or field that is wrong."""
    with pytest.raises(RefusedModel, match=message):
        bundle_from_card(CARD | changes)


def test_cards_are_toml_or_json(tmp_path: Path) -> None:
    """The fields of bundle.json are accepted, and no others."""
    toml = tmp_path / "card.toml"
    toml.write_text('name = "toy"\n[input]\nheight = 8\n')
    assert read_card(toml) == {"name": "toy", "input": {"height": 8}}
    toml.write_text('colour = "blue"')
    with pytest.raises(RefusedModel, match="unknown fields: colour"):
        read_card(toml)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": "clear,nodule"}, "labels is not a list"),
        ({"exclusions": "children"}, "exclusions is not a list"),
        ({"input": "8x8"}, "input is not a table"),
        ({"thresholds": ["nodule"]}, "thresholds is not a table"),
        ({"intended_use": 5}, "intended_use is not a text"),
        ({"not_for_diagnosis": "false"}, "not_for_diagnosis is not true or false"),
    ],
)
def test_a_card_with_values_of_the_wrong_type_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """A text instead of a list would be split into its letters."""
    (tmp_path / "card.json").write_text(json.dumps(CARD | changes))
    with pytest.raises(RefusedModel, match=message):
        read_card(tmp_path / "card.json")


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


def test_the_fields_of_graphs_are_in_a_card(tmp_path: Path) -> None:
    """bundle.json does not have them; their types and the layout are checked."""
    (tmp_path / "card.json").write_text(json.dumps(CARD | {"layout": "nchw", "logits": True, "output_name": "y"}))
    options = graph_options_from_card(read_card(tmp_path / "card.json"))
    assert (options.layout, options.logits, options.output_name, options.input_name) == ("NCHW", True, "y", None)
    assert options.given == ("layout", "output_name", "logits")
    with pytest.raises(RefusedModel, match="layout must be NHWC or NCHW"):
        graph_options_from_card(CARD | {"layout": "CHW"})
    (tmp_path / "card.json").write_text(json.dumps(CARD | {"logits": "yes"}))
    with pytest.raises(RefusedModel, match="logits is not true or false"):
        read_card(tmp_path / "card.json")


def test_facts_of_a_graph_from_the_sandbox_are_not_trusted() -> None:
    """Control characters are replaced, and another layout is refused."""
    values = GRAPH.to_json() | {"producer": "a\x1b[2Jb", "added": ["Cast"]}
    assert GraphFacts.from_json(values).producer == "a?[2Jb"
    with pytest.raises(ValueError, match="not in tuple"):
        GraphFacts.from_json(values | {"layout": "CHWN"})
