"""Read the card of a foreign network and create the bundle that it describes."""

import json
import tomllib
from pathlib import Path
from typing import Any

from imaging.spec import InputSpec
from models.bundle import Bundle
from models.domain import Domain
from models.domain_of_data import with_stated
from models.importing.errors import RefusedModel
from models.importing.graph_options import OF_CARD, GraphOptions
from models.onnx_signature import LAYOUTS
from models.postprocessing import MAX, SIGMOID, SOFTMAX, Postprocessing
from nightread.label_codes import label_codes_from_json
from nightread.plain_text import visible

_REQUIRED = {
    "name": "--name",
    "version": "--version",
    "labels": "--labels",
    "activation": "--activation",
    "input": "--input and --intensity",
    "intended_use": "--intended-use",
}
_OPTIONAL = (
    *("normal_label", "thresholds", "calibration", "aggregate", "exclusions", "not_for_diagnosis", "domain", "codes"),
)
_IGNORED = ("format", "digest")
_KINDS: dict[str, type] = {
    **dict.fromkeys(("labels", "exclusions"), list),
    **dict.fromkeys(("input", "thresholds", "calibration", "domain", "codes"), dict),
    **dict.fromkeys(("name", "activation", "intended_use", "aggregate"), str),
    **dict.fromkeys(("layout", "input_name", "output_name"), str),
    **dict.fromkeys(("not_for_diagnosis", "logits"), bool),
}
_TYPE_NAMES = {list: "a list", dict: "a table", str: "a text", bool: "true or false"}
_SIGMOID_THRESHOLD = 0.5


def read_card(path: Path) -> dict[str, Any]:
    """Read the fields of a bundle.json from a JSON or TOML file. Raises RefusedModel."""
    try:
        text = path.read_text("utf-8-sig")
        card = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except UnicodeDecodeError as error:
        raise RefusedModel(f"The card {path} is not a text in UTF-8. Save it in UTF-8.") from error
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        form = "TOML" if path.suffix.lower() == ".toml" else "JSON (a card in TOML has a name that ends in .toml)"
        raise RefusedModel(f"The card {path} is not valid {form}: {visible(str(error))}. Correct it.") from error
    except (OSError, ValueError) as error:
        raise RefusedModel(
            f"The card {path} cannot be read as JSON or TOML ({type(error).__name__}). Correct it."
        ) from error
    if not isinstance(card, dict):
        raise RefusedModel(f"The card {path} is not a table of fields. See docs/bundles.md.")
    unknown = card.keys() - {*_REQUIRED, *_OPTIONAL, *OF_CARD, *_IGNORED}
    if unknown:
        raise RefusedModel(
            f"The card {path} has unknown fields: {', '.join(sorted(unknown))}. Delete them; see docs/bundles.md."
        )
    wrong = [name for name, kind in _KINDS.items() if not isinstance(card.get(name, kind()), kind)]
    if wrong:
        raise RefusedModel(
            f"The card {path} is invalid: {wrong[0]} is not {_TYPE_NAMES[_KINDS[wrong[0]]]}. See docs/bundles.md."
        )
    return card


def bundle_from_card(card: dict[str, Any]) -> Bundle:
    """Create the bundle that a card describes, without weights. Raises RefusedModel for missing or invalid fields.

    The default threshold of a finding is 0.5 for sigmoid. For softmax there is none: the highest label wins.
    """
    missing = [option for field, option in _REQUIRED.items() if not card.get(field)]
    if missing:
        raise RefusedModel(f"Information is missing: give {', '.join(missing)}, or a --card with these fields.")
    _check_labels(card["labels"])
    if card["activation"] == SOFTMAX and len(card["labels"]) == 1:
        raise RefusedModel(
            "The card has one label and the activation softmax, which gives every image a score of 1. For a network "
            "with one output give --labels FINDING --normal-label NAME --activation sigmoid."
        )
    try:
        return Bundle(
            name=card["name"],
            version=str(card["version"]),
            postprocessing=_postprocessing(card),
            spec=InputSpec.from_json(card["input"]),
            intended_use=card["intended_use"],
            exclusions=tuple(card.get("exclusions", ())),
            not_for_diagnosis=bool(card.get("not_for_diagnosis", True)),
            domain=with_stated(Domain(), card["domain"]) if card.get("domain") else None,
            codes=label_codes_from_json(card.get("codes", {}), card["labels"]),
        )
    except KeyError as error:
        raise RefusedModel(f"The card lacks the field {error}. See docs/bundles.md.") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise RefusedModel(f"The card is invalid: {error}. See docs/bundles.md.") from error


def _check_labels(labels: list[Any]) -> None:
    for label in labels:
        if not isinstance(label, str) or label != label.strip() or not label:
            raise RefusedModel(
                f"The card is invalid: the label {label!r} is not a text without spaces at its ends. "
                'Write labels in quotes, such as labels = ["clear", "nodule"].'
            )


def graph_options_from_card(card: dict[str, Any]) -> GraphOptions:
    """Return what a card says about an ONNX graph. Raises RefusedModel for a layout that does not exist."""
    given = {name: card[name] for name in OF_CARD if card.get(name)}
    if "layout" in given:
        given["layout"] = str(given["layout"]).upper()
        if given["layout"] not in LAYOUTS:
            raise RefusedModel(f"The card is invalid: layout must be {' or '.join(LAYOUTS)}. See docs/bundles.md.")
    return GraphOptions(activation=card["activation"], **given)


def _postprocessing(card: dict[str, Any]) -> Postprocessing:
    labels, normal = tuple(card["labels"]), card.get("normal_label")
    fallback = _SIGMOID_THRESHOLD if card["activation"] == SIGMOID else None
    thresholds = dict.fromkeys((label for label in labels if label != normal), fallback)
    given = card.get("thresholds", {})
    unknown = given.keys() - thresholds.keys()
    if unknown:
        raise ValueError(f"these thresholds belong to no finding: {', '.join(sorted(unknown))}")
    return Postprocessing(
        labels=labels,
        normal_label=normal,
        activation=card["activation"],
        thresholds=thresholds | given,
        temperature=float(card.get("calibration", {}).get("temperature", 1.0)),
        aggregate=card.get("aggregate", MAX),
    )
