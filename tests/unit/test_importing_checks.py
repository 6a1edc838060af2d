"""Whether network, card and golden files fit each other; no network is loaded here."""

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
from models.importing.card import bundle_of, read_card
from models.importing.checks import check
from models.importing.comparison import compare
from models.importing.convert import Conversion
from models.importing.errors import RefusedModel
from models.importing.golden import read_golden

CARD: dict[str, Any] = {
    "name": "toy",
    "version": "1.0",
    "labels": ["clear", "nodule"],
    "normal_label": "clear",
    "activation": "softmax",
    "input": {"height": 8, "width": 8, "channels": 1, "intensity": {"kind": "full"}},
    "intended_use": "tests",
}


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
        "walls": {},
        "path": Path("model.keras"),
    }
    return Conversion(**(values | changes))


@pytest.fixture
def bundle() -> Bundle:
    return bundle_of(CARD)


@pytest.fixture
def golden_folder(tmp_path: Path) -> Path:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((8, 8), 50 * number, np.uint8))
    (tmp_path / "golden.csv").write_text("file,nodule,clear\n0.png,0.1,0.9\n1.png,0.2,0.8\n2.png,0.7,0.3\n")
    return tmp_path


def test_what_fits_passes(bundle: Bundle) -> None:
    """Also a network for images of any size."""
    check(bundle, found())
    check(bundle, found(input_shape=(None, None, 1)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_shape": (28, 28, 1)}, "takes images of 28x28x1 and --input says 8x8x1.*Give --input 28x28x1"),
        ({"input_shape": (1, 8, 8)}, "channels first"),
        ({"output_shape": (3,)}, "answers with 3 numbers and --labels has 2: clear, nodule"),
        ({"output_shape": (1,)}, "--labels FINDING --normal-label NAME --activation sigmoid"),
        ({"bad_weights": ("dense/kernel",)}, r"NaN or infinity \(dense/kernel\)"),
        ({"activation": "sigmoid"}, "ends in sigmoid and --activation says softmax"),
        ({"activation": "linear", "probes": np.array([[-3.0, 5.0]])}, "from -3 to 5.*these are logits"),
        ({"activation": None, "probes": np.array([[0.9, 0.9]])}, "do not add up to 1"),
        ({"probes": np.array([[np.nan, 0.5]])}, "NaN or infinity"),
    ],
)
def test_what_does_not_fit_is_named(bundle: Bundle, changes: dict[str, Any], message: str) -> None:
    """What is wrong, and what to do."""
    with pytest.raises(RefusedModel, match=message):
        check(bundle, found(**changes))


def test_golden_files_are_read_in_the_order_of_the_labels(bundle: Bundle, golden_folder: Path) -> None:
    """Whatever the order of the columns; images become inputs by the code that serves."""
    golden = read_golden(golden_folder, bundle.labels)
    assert golden.scores.tolist() == [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]
    assert np.allclose(golden.inputs(bundle.spec)[:, 0, 0, 0], [0, 50 / 255, 100 / 255], atol=1e-6)


def test_golden_files_as_json(bundle: Bundle, golden_folder: Path) -> None:
    """The same as objects."""
    table = golden_folder / "golden.json"
    table.write_text(json.dumps([{"file": "1.png", "scores": {"clear": 0.8, "nodule": 0.2}}]))
    assert read_golden(table, bundle.labels).scores.tolist() == [[0.8, 0.2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,clear\n0.png,1\n", "no number for each label; needed: clear, nodule"),
        ("file,clear,nodule\n0.png,1,high\n", "no number for each label"),
        ("file,clear,nodule\n", "names 0 images"),
        ("image,clear,nodule\n0.png,1,0\n", "every row needs `file`"),
        ("file,clear,nodule\nnone.png,1,0\n", r"none\.png cannot be read"),
        ("file,clear,nodule\n../../etc/passwd,1,0\n", "outside of its folder"),
        ("file,clear,nodule\ngolden.csv,1,0\n", r"golden\.csv cannot be prepared"),
        ("file,frame,clear,nodule\n0.png,3,1,0\n", "not that one"),
    ],
)
def test_a_golden_table_that_cannot_be_used_is_explained(
    bundle: Bundle, golden_folder: Path, text: str, message: str
) -> None:
    """By row and reason."""
    (golden_folder / "golden.csv").write_text(text)
    with pytest.raises(RefusedModel, match=message):
        read_golden(golden_folder, bundle.labels).inputs(bundle.spec)


def test_scores_within_a_ten_thousandth_are_equal(bundle: Bundle, golden_folder: Path) -> None:
    """The record holds digests and differences, and no name of a file."""
    golden = read_golden(golden_folder, bundle.labels)
    comparison = compare(bundle, Path("none"), golden, golden.scores + 5e-5)
    record = comparison.to_json()
    assert record["largest_difference"] == pytest.approx(5e-5)
    assert record["spread_of_scores"] == pytest.approx(0.6)
    assert len(record["examples"]) == 3
    assert "png" not in json.dumps(record)


def test_golden_logits_are_told_from_scores(bundle: Bundle, golden_folder: Path) -> None:
    """An author may have written them down before the softmax."""
    golden = replace(read_golden(golden_folder, bundle.labels), scores=np.array([[3.0, -4.0]] * 3))
    with pytest.raises(RefusedModel, match=r"from -4 to 3; give what the network answers, in 0\.\.1"):
        compare(bundle, Path("none"), golden, golden.scores)


def test_alternatives_hold_what_authors_do_most_often() -> None:
    """Each is another spec than the first, which is written as options of the command."""
    spec = InputSpec(height=8, width=8, channels=3, intensity=Intensity(kind="voi"))
    options = dict(alternatives(spec))
    assert options["--scale 0..255"].scale_high == 255
    assert (options["--scale 1..0 (inverted)"].scale_low, options["--scale 1..0 (inverted)"].scale_high) == (1, 0)
    assert options["--channel-order bgr"].channel_order == "bgr"
    assert options["--scale 0..255 --aspect pad"].aspect == "pad"
    assert spec not in options.values()
    assert any("Caffe" in option for option in options)


def test_the_closest_alternative_is_the_one_with_the_smallest_largest_difference() -> None:
    """By hand: 0.3, 0.1, 0.2."""
    golden = np.array([[0.5, 0.5]])
    answers = [np.array([[0.8, 0.5]]), np.array([[0.4, 0.6]]), np.array([[0.5, 0.3]])]
    assert closest(golden, answers) == (1, pytest.approx(0.1))


def test_a_card_fills_in_thresholds() -> None:
    """Softmax: the highest label; sigmoid: 0.5; what is given stays."""
    assert bundle_of(CARD).postprocessing.thresholds == {"nodule": None}
    assert bundle_of(CARD | {"activation": "sigmoid"}).postprocessing.thresholds == {"nodule": 0.5}
    assert bundle_of(CARD | {"thresholds": {"nodule": 0.2}}).postprocessing.thresholds == {"nodule": 0.2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None, "intended_use": ""}, "Give --labels, --intended-use"),
        ({"thresholds": {"nodle": 0.5}}, "nodle is none"),
        ({"input": {"height": 8, "width": 8, "channels": 2, "intensity": {"kind": "full"}}}, "channels is 2"),
        ({"input": {"height": 8, "width": 8, "channels": 1, "intensity": {"kind": "window"}}}, "requires low < high"),
        ({"input": {"height": 8, "width": 8, "channels": 1, "size": 2, "intensity": {"kind": "full"}}}, "size"),
        ({"name": "Toy Net"}, "lower-case"),
    ],
)
def test_a_card_that_makes_no_sense_is_explained(changes: dict[str, Any], message: str) -> None:
    """By the option or field that is wrong."""
    with pytest.raises(RefusedModel, match=message):
        bundle_of(CARD | changes)


def test_cards_are_toml_or_json(tmp_path: Path) -> None:
    """With the fields of bundle.json and no others."""
    toml = tmp_path / "card.toml"
    toml.write_text('name = "toy"\n[input]\nheight = 8\n')
    assert read_card(toml) == {"name": "toy", "input": {"height": 8}}
    toml.write_text('colour = "blue"')
    with pytest.raises(RefusedModel, match="unknown fields: colour"):
        read_card(toml)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": "clear,nodule"}, "labels is no list"),
        ({"exclusions": "children"}, "exclusions is no list"),
        ({"input": "8x8"}, "input is no table"),
        ({"thresholds": ["nodule"]}, "thresholds is no table"),
        ({"intended_use": 5}, "intended_use is no text"),
        ({"not_for_diagnosis": "false"}, "not_for_diagnosis is no true or false"),
    ],
)
def test_a_card_of_the_wrong_kind_of_values_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """A text would be taken apart into letters."""
    (tmp_path / "card.json").write_text(json.dumps(CARD | changes))
    with pytest.raises(RefusedModel, match=message):
        read_card(tmp_path / "card.json")


def test_a_golden_frame_that_is_no_number_is_explained(bundle: Bundle, golden_folder: Path) -> None:
    """Whatever JSON holds there."""
    row = {"file": "0.png", "frame": [1], "scores": {"clear": 0.9, "nodule": 0.1}}
    (golden_folder / "g.json").write_text(json.dumps([row]))
    with pytest.raises(RefusedModel, match=r"the frame of 0\.png is no number"):
        read_golden(golden_folder / "g.json", bundle.labels)


def test_what_the_sandbox_says_moves_no_cursor() -> None:
    """Names of weights are foreign text."""
    values = {**vars(found()), "bad_weights": ["a\x1b[2Jb"], "probes": [], "scores": []}
    assert Conversion.from_json(values, Path("model.keras")).bad_weights == ("a?[2Jb",)
