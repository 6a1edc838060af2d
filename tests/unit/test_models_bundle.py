"""A bundle is loaded exactly as it was saved, or work stops."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imaging.spec import InputSpec, Intensity
from models.bundle import CARD_FILE, KERAS_FILE, Bundle, load_bundle, save_bundle
from models.postprocessing import Postprocessing
from nightread.errors import StopWork

WEIGHTS = bytes(range(256)) * 8

Change = Callable[[dict[str, Any]], object]


def make_bundle(**changes: Any) -> Bundle:
    values = {
        "name": "toy",
        "version": "1.0",
        "postprocessing": Postprocessing(
            labels=("clear", "nodule"),
            normal_label="clear",
            activation="softmax",
            thresholds={"nodule": 0.5},
            temperature=1,
            aggregate="max",
        ),
        "spec": InputSpec(
            height=8, width=8, channels=1, intensity=Intensity(kind="window", low=0, high=255), mean=(0.5,), std=(0.2,)
        ),
        "intended_use": "tests",
        "exclusions": ("patients",),
    }
    return Bundle(**(values | changes))


@pytest.fixture
def saved(tmp_path: Path) -> Bundle:
    return save_bundle(make_bundle(), tmp_path / "toy", lambda path: path.write_bytes(WEIGHTS))


def edit(bundle: Bundle, change: Change) -> None:
    card = json.loads((bundle.path / CARD_FILE).read_text())
    change(card)
    (bundle.path / CARD_FILE).write_text(json.dumps(card))


def test_a_bundle_is_loaded_as_it_was_saved(saved: Bundle) -> None:
    """Each field has its saved value, and the digest is a SHA-256."""
    loaded = load_bundle(saved.path)
    assert loaded == saved
    assert loaded.reference == "toy@1.0"
    assert len(loaded.digest) == 64


def test_the_digest_depends_only_on_content(saved: Bundle, tmp_path: Path) -> None:
    """The same bundle saved elsewhere has the same digest."""
    again = save_bundle(make_bundle(), tmp_path / "elsewhere", lambda path: path.write_bytes(WEIGHTS))
    assert again.digest == saved.digest


def test_a_flipped_byte_of_the_weights_stops_work(saved: Bundle) -> None:
    """The message names the problem and the remedy."""
    content = bytearray(saved.keras_file.read_bytes())
    content[700] ^= 1
    saved.keras_file.write_bytes(content)
    with pytest.raises(StopWork, match=r"changed after the bundle was saved.*Copy the folder again"):
        load_bundle(saved.path)


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card["thresholds"].update(nodule=0.4),
        lambda card: card["calibration"].update(temperature=1.5),
        lambda card: card["input"]["intensity"].update(high=254),
        lambda card: card["input"].update(interpolation="linear"),
        lambda card: card.update(aggregate="mean"),
        lambda card: card.update(not_for_diagnosis=False),
        lambda card: card.update(version="1.1"),
        lambda card: card.update(labels=["nodule", "clear"]),
    ],
)
def test_an_edited_inference_field_stops_work(saved: Bundle, change: Change) -> None:
    """The digest covers each field that a result depends on."""
    edit(saved, change)
    with pytest.raises(StopWork, match="wrong digest"):
        load_bundle(saved.path)


def test_the_description_does_not_change_the_digest(saved: Bundle) -> None:
    """The intended use can be reworded, because no score depends on it."""
    edit(saved, lambda card: card.update(intended_use="tests, and nothing else"))
    assert load_bundle(saved.path).digest == saved.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card["labels"].remove("nodule"), "thresholds must name each label except normal_label"),
        (lambda card: card.pop("labels"), "field 'labels' is missing"),
        (lambda card: card.update(activation="relu"), "activation is 'relu'; allowed: softmax, sigmoid"),
        (lambda card: card["input"].update(aspect="squeeze"), "aspect is 'squeeze'"),
        (lambda card: card.update(format=2), "this version of nightread reads format 1"),
        (lambda card: card.update(labels="clear"), "labels must be a list"),
        (lambda card: card.update(name=7), "name must be a string"),
        (lambda card: card.update(name="../toy"), "lower-case"),
        (lambda card: card.update(not_for_diagnosis="yes"), "true or false"),
        (lambda card: card.update(colour="blue"), "unknown fields: colour"),
        (lambda card: card.update(thresholds=[0.5]), "cannot be used"),
        (lambda card: card.update(input=None), "cannot be used"),
    ],
)
def test_an_invalid_field_is_named(saved: Bundle, change: Change, message: str) -> None:
    """The message names the field instead of the digest."""
    edit(saved, change)
    with pytest.raises(StopWork, match=message):
        load_bundle(saved.path)


def test_missing_files_are_named(saved: Bundle, tmp_path: Path) -> None:
    """The message names the missing file of an incomplete copy."""
    with pytest.raises(StopWork, match=r"bundle\.json is missing"):
        load_bundle(tmp_path)
    saved.keras_file.unlink()
    with pytest.raises(StopWork, match=KERAS_FILE):
        load_bundle(saved.path)


@pytest.mark.parametrize("text", ["", "{", "[]", "\ud800"])
def test_a_card_that_is_not_a_json_object_stops_work(saved: Bundle, text: str) -> None:
    """The message for truncated and foreign files differs from that for changed files."""
    (saved.path / CARD_FILE).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(StopWork, match="JSON"):
        load_bundle(saved.path)
