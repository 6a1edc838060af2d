"""The cards of foreign networks: which files are read, and which fields are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.importing.card import bundle_from_card, graph_options_from_card, read_card
from models.importing.errors import RefusedModel

CARD: dict[str, Any] = {
    "name": "toy",
    "version": "1.0",
    "labels": ["clear", "nodule"],
    "normal_label": "clear",
    "activation": "softmax",
    "input": {"height": 8, "width": 8, "channels": 1, "intensity": {"kind": "full"}},
    "intended_use": "tests",
}


def test_missing_thresholds_get_defaults() -> None:
    """The default is the highest label for softmax and 0.5 for sigmoid; a given threshold stays."""
    assert bundle_from_card(CARD).postprocessing.thresholds == {"nodule": None}
    assert bundle_from_card(CARD | {"activation": "sigmoid"}).postprocessing.thresholds == {"nodule": 0.5}
    assert bundle_from_card(CARD | {"thresholds": {"nodule": 0.2}}).postprocessing.thresholds == {"nodule": 0.2}


SMALL = {"height": 8, "width": 8, "channels": 1, "intensity": {"kind": "full"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None, "intended_use": ""}, "Information is missing: give --labels, --intended-use"),
        ({"thresholds": {"nodle": 0.5}}, "belong to no finding: nodle"),
        ({"input": {"height": 8, "width": 8, "channels": 2, "intensity": {"kind": "full"}}}, "channels is 2"),
        ({"input": {"height": 8, "width": 8, "channels": 1, "intensity": {"kind": "window"}}}, "requires low < high"),
        ({"input": {"height": 8, "width": 8, "channels": 1, "size": 2, "intensity": {"kind": "full"}}}, "size"),
        ({"name": "Toy Net"}, "lower-case"),
        ({"labels": ["clear", "nodule "]}, "the label 'nodule ' is not a text without spaces at its ends"),
        ({"labels": ["nodule"], "normal_label": None}, "gives every image a score of 1.*--activation sigmoid"),
        ({"labels": [0, 1]}, "the label 0 is not a text"),
        ({"labels": ["clear", ""]}, "the label '' is not a text"),
        ({"input": SMALL | {"scale_low": 1.0, "scale_high": 1.0}}, r"scale 1\.0\.\.1\.0 makes all images equal"),
        ({"input": SMALL | {"mean": [0.5], "std": [0.0]}}, "std is a divisor, so each value must be positive"),
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


def test_a_card_of_windows_is_read(tmp_path: Path) -> None:
    """A byte order mark and a name in capital letters do not matter."""
    (tmp_path / "CARD.TOML").write_text('name = "toy"\n', encoding="utf-8-sig")
    assert read_card(tmp_path / "CARD.TOML") == {"name": "toy"}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("card.toml", b'name = "toy"\nlabels = [\n', "not valid TOML: .*(end of document|line)"),
        ("card.json", b'name = "toy"\n', r"not valid JSON \(a card in TOML has a name that ends in \.toml\): .*line 1"),
        ("card.toml", 'name = "toy"\n'.encode("utf-16"), "not a text in UTF-8. Save it in UTF-8"),
    ],
)
def test_an_unreadable_card_says_where_it_is_wrong(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    """The message has the line, as the reader of the format states it."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RefusedModel, match=message):
        read_card(tmp_path / name)


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
