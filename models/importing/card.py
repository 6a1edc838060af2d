"""What a person says of a foreign network, as the card of a bundle."""

import json
import tomllib
from pathlib import Path
from typing import Any

from imaging.spec import InputSpec
from models.bundle import Bundle
from models.importing.errors import RefusedModel
from models.postprocessing import MAX, SIGMOID, Postprocessing

_REQUIRED = {
    "name": "--name",
    "version": "--version",
    "labels": "--labels",
    "activation": "--activation",
    "input": "--input and --intensity",
    "intended_use": "--intended-use",
}
_OPTIONAL = ("normal_label", "thresholds", "calibration", "aggregate", "exclusions", "not_for_diagnosis")
_IGNORED = ("format", "digest")
_KINDS: dict[str, type] = {
    **dict.fromkeys(("labels", "exclusions"), list),
    **dict.fromkeys(("input", "thresholds", "calibration"), dict),
    **dict.fromkeys(("name", "activation", "intended_use", "aggregate"), str),
    "not_for_diagnosis": bool,
}
_CALLED = {list: "list", dict: "table", str: "text", bool: "true or false"}
_SIGMOID_THRESHOLD = 0.5


def read_card(path: Path) -> dict[str, Any]:
    """The fields of a bundle.json, as JSON or TOML. Raises RefusedModel."""
    try:
        text = path.read_text("utf-8")
        card = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise RefusedModel(f"The card {path} cannot be read as JSON or TOML ({type(error).__name__}).") from error
    if not isinstance(card, dict):
        raise RefusedModel(f"The card {path} is no table of fields. docs/bundles.md explains them.")
    unknown = card.keys() - {*_REQUIRED, *_OPTIONAL, *_IGNORED}
    if unknown:
        raise RefusedModel(f"The card {path} has unknown fields: {', '.join(sorted(unknown))}.")
    wrong = [name for name, kind in _KINDS.items() if not isinstance(card.get(name, kind()), kind)]
    if wrong:
        raise RefusedModel(
            f"The card {path}: {wrong[0]} is no {_CALLED[_KINDS[wrong[0]]]}. docs/bundles.md explains it."
        )
    return card


def bundle_of(card: dict[str, Any]) -> Bundle:
    """The bundle that a card describes, without weights. Raises RefusedModel that names what is missing or wrong.

    A finding without threshold counts from 0.5 (sigmoid) or when it is the highest of all labels (softmax).
    """
    missing = [option for field, option in _REQUIRED.items() if not card.get(field)]
    if missing:
        raise RefusedModel(f"Give {', '.join(missing)}, or a --card that says so: nothing of this can be guessed.")
    try:
        return Bundle(
            name=card["name"],
            version=str(card["version"]),
            postprocessing=_postprocessing(card),
            spec=InputSpec.from_json(card["input"]),
            intended_use=card["intended_use"],
            exclusions=tuple(card.get("exclusions", ())),
            not_for_diagnosis=bool(card.get("not_for_diagnosis", True)),
        )
    except KeyError as error:
        raise RefusedModel(f"The card lacks the field {error}. docs/bundles.md explains the fields.") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise RefusedModel(f"The card cannot be used: {error}.") from error


def _postprocessing(card: dict[str, Any]) -> Postprocessing:
    labels, normal = tuple(card["labels"]), card.get("normal_label")
    fallback = _SIGMOID_THRESHOLD if card["activation"] == SIGMOID else None
    thresholds = dict.fromkeys((label for label in labels if label != normal), fallback)
    given = card.get("thresholds", {})
    strangers = given.keys() - thresholds.keys()
    if strangers:
        raise ValueError(f"thresholds are for findings, and {', '.join(sorted(strangers))} is none")
    return Postprocessing(
        labels=labels,
        normal_label=normal,
        activation=card["activation"],
        thresholds=thresholds | given,
        temperature=float(card.get("calibration", {}).get("temperature", 1.0)),
        aggregate=card.get("aggregate", MAX),
    )
