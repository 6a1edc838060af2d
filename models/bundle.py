"""Save, load and verify a bundle: a folder with one network and everything that turns its scores into a result."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imaging.spec import InputSpec
from models.domain import Domain
from models.postprocessing import Postprocessing
from nightread.errors import StopWork
from nightread.label_codes import LabelCodes, label_codes_from_json, label_codes_to_json

FORMAT = 1
WEIGHTS_FILE = "model.keras"
CARD_FILE = "bundle.json"
TRAINING_FILE = "training.json"
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

_DESCRIPTIVE = ("intended_use", "exclusions", "codes", "digest")
"""Fields of bundle.json that no result depends on; the digest does not cover them."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """The content of bundle.json; docs/bundles.md explains each field."""

    name: str
    version: str
    postprocessing: Postprocessing
    """Labels, thresholds, calibration and aggregate: how scores become a result."""
    spec: InputSpec
    intended_use: str
    exclusions: tuple[str, ...] = ()
    not_for_diagnosis: bool = True
    domain: Domain | None = None
    """The images for which it was made; None if it does not say."""
    codes: LabelCodes = field(default_factory=dict)
    """Codes of standard terminologies for labels, for reports."""
    digest: str = ""
    """SHA-256, 64 hex digits, over the weights and every field that a result depends on."""
    path: Path = field(default=Path(), compare=False)

    def __post_init__(self) -> None:
        """Raise ValueError for a name or version that is not allowed in `NAME@VERSION`."""
        for field_name, text in (("name", self.name), ("version", self.version)):
            if not NAME_PATTERN.fullmatch(text):
                raise ValueError(
                    f"{field_name} {text!r} must be lower-case letters, digits, dots, dashes or underscores"
                )

    @property
    def reference(self) -> str:
        """Return the bundle as users name it: `NAME@VERSION`."""
        return f"{self.name}@{self.version}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the labels, one per output of the network, in the order of the outputs."""
        return self.postprocessing.labels

    @property
    def weights(self) -> Path:
        """Return the path of the Keras file."""
        return self.path / WEIGHTS_FILE

    def to_json(self) -> dict[str, Any]:
        """Return the content of bundle.json."""
        postprocessing = self.postprocessing
        return {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "labels": list(postprocessing.labels),
            "normal_label": postprocessing.normal_label,
            "activation": postprocessing.activation,
            "thresholds": dict(postprocessing.thresholds),
            "calibration": {"temperature": postprocessing.temperature},
            "aggregate": postprocessing.aggregate,
            "input": self.spec.to_json(),
            "intended_use": self.intended_use,
            "exclusions": list(self.exclusions),
            "not_for_diagnosis": self.not_for_diagnosis,
            **({"domain": self.domain.to_json()} if self.domain is not None else {}),
            **({"codes": label_codes_to_json(self.codes)} if self.codes else {}),
            "digest": self.digest,
        }


def load_bundle(folder: Path) -> Bundle:
    """Read and verify a bundle without loading its network. Raises StopWork if anything differs from what was saved."""
    card = read_card(folder)
    try:
        bundle = _from_card(card, folder)
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        problem = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
        raise StopWork(f"bundle {folder}: {CARD_FILE} cannot be used: {problem}. Save the bundle again.") from error
    if not bundle.weights.is_file():
        raise StopWork(f"bundle {folder}: {WEIGHTS_FILE} is missing. Copy the whole folder again.")
    if bundle.digest != _digest(bundle):
        raise StopWork(
            f"bundle {folder}: {WEIGHTS_FILE} or {CARD_FILE} was changed after the bundle was saved (wrong digest). "
            "Copy the folder again from its origin, or save the bundle again under another version."
        )
    return bundle


def read_card(folder: Path) -> dict[str, Any]:
    """Return the content of bundle.json, unverified. Raises StopWork if it is missing or not a JSON object."""
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StopWork(f"bundle {folder}: {CARD_FILE} is missing. Name the folder that contains it.") from error
    except (OSError, RecursionError, ValueError) as error:
        raise StopWork(f"bundle {folder}: {CARD_FILE} cannot be read as JSON. Copy the whole folder again.") from error
    if not isinstance(card, dict):
        raise StopWork(f"bundle {folder}: {CARD_FILE} is not a JSON object. Copy the whole folder again.")
    return card


def save_bundle(bundle: Bundle, folder: Path, save_weights: Callable[[Path], object]) -> Bundle:
    """Write a bundle into `folder` and return it with digest and path; `save_weights` is `model.save` of Keras."""
    folder.mkdir(parents=True, exist_ok=True)
    unsealed = replace(bundle, path=folder)
    save_weights(unsealed.weights)
    sealed = replace(unsealed, digest=_digest(unsealed))
    card = json.dumps(sealed.to_json(), indent=2, ensure_ascii=False) + "\n"
    (folder / CARD_FILE).write_text(card, encoding="utf-8")
    return sealed


def _digest(bundle: Bundle) -> str:
    """Return the SHA-256 over the canonical JSON of the inference fields and the SHA-256 of the weights file."""
    with bundle.weights.open("rb") as stream:
        weights = hashlib.file_digest(stream, "sha256").hexdigest()
    covered = {name: value for name, value in bundle.to_json().items() if name not in _DESCRIPTIVE}
    canonical = json.dumps(covered | {"weights": weights}, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _from_card(card: dict[str, Any], folder: Path) -> Bundle:
    if card["format"] != FORMAT:
        raise ValueError(f"its format is {card['format']!r}, but this version of nightread reads format {FORMAT}")
    bundle = Bundle(
        name=_text(card, "name"),
        version=_text(card, "version"),
        postprocessing=_postprocessing(card),
        spec=InputSpec.from_json(_table(card, "input")),
        intended_use=_text(card, "intended_use"),
        exclusions=_texts(card, "exclusions"),
        not_for_diagnosis=_flag(card, "not_for_diagnosis"),
        domain=Domain.from_json(_table(card, "domain")) if "domain" in card else None,
        codes=label_codes_from_json(card.get("codes", {}), _texts(card, "labels")),
        digest=_text(card, "digest"),
        path=folder,
    )
    unknown = card.keys() - bundle.to_json().keys()
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    return bundle


def _postprocessing(card: dict[str, Any]) -> Postprocessing:
    thresholds = _table(card, "thresholds")
    return Postprocessing(
        labels=_texts(card, "labels"),
        normal_label=None if card["normal_label"] is None else _text(card, "normal_label"),
        activation=_text(card, "activation"),
        thresholds={label: None if level is None else float(level) for label, level in thresholds.items()},
        temperature=float(_table(card, "calibration")["temperature"]),
        aggregate=_text(card, "aggregate"),
    )


def _text(card: dict[str, Any], name: str) -> str:
    if not isinstance(card[name], str):
        raise TypeError(f"{name} must be a string")
    return str(card[name])


def _texts(card: dict[str, Any], name: str) -> tuple[str, ...]:
    values = card[name]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{name} must be a list of strings")
    return tuple(values)


def _table(card: dict[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(card[name], dict):
        raise TypeError(f"{name} must be a JSON object")
    return dict(card[name])


def _flag(card: dict[str, Any], name: str) -> bool:
    if not isinstance(card[name], bool):
        raise TypeError(f"{name} must be true or false")
    return bool(card[name])
