"""Save, load and verify a bundle: a folder with one network and everything that turns its scores into a result."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imaging.spec import InputSpec
from models.domain import Domain
from models.onnx_signature import OnnxSignature
from models.postprocessing import Postprocessing
from models.series.spec import HEAD, SeriesSpec
from nightread.errors import StopWork
from nightread.label_codes import LabelCodes, label_codes_from_json, label_codes_to_json
from nightread.runtime_names import KERAS, ONNX

FORMAT = 1
KERAS_FILE, ONNX_FILE = "model.keras", "model.onnx"
HEAD_KERAS_FILE, HEAD_ONNX_FILE = HEAD_FILES = ("head.keras", "head.onnx")
"""The files of a sequence head, which a bundle has if `series.aggregate` is `head`."""
NETWORK_FILES = {KERAS: KERAS_FILE, ONNX: ONNX_FILE}
"""The file that each runtime loads. A bundle has one of them or both."""
CARD_FILE = "bundle.json"
TRAINING_FILE, TRAINING_PAGE_FILE = "training.json", "training.html"
IMAGE, SERIES = "image", "series"
"""What the results of a bundle are about: images or series."""
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

_DESCRIPTIVE = ("intended_use", "exclusions", "codes", "files", "digest")
"""Fields of bundle.json that the digest leaves out. It covers the values of `files` under the keys of `_COVERED_AS`."""
_COVERED_AS = {
    KERAS_FILE: "weights",
    ONNX_FILE: "onnx_weights",
    HEAD_KERAS_FILE: "head_weights",
    HEAD_ONNX_FILE: "onnx_head_weights",
}
"""For each file, the key under which its SHA-256 is in the JSON object from which the digest is computed."""
_SHA256 = re.compile(r"[0-9a-f]{64}")

SaveFile = Callable[[Path], object]


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
    """The images that the bundle was made for; None if bundle.json does not say."""
    series: SeriesSpec | None = None
    """How the results of slices become results of series; None if the unit is the image."""
    codes: LabelCodes = field(default_factory=dict)
    """The codes of standard terminologies that reports use for the labels."""
    onnx: OnnxSignature | None = None
    """How to run the ONNX file; None if the bundle has no ONNX file."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 of each file of the network, by name; empty until the bundle is saved."""
    digest: str = ""
    """SHA-256, 64 hex digits, over the files of the network and every field that a result depends on."""
    path: Path = field(default=Path(), compare=False)

    def __post_init__(self) -> None:
        """Raise ValueError for a name or version that is not allowed in `NAME@VERSION`."""
        for field_name, text in (("name", self.name), ("version", self.version)):
            if not NAME_PATTERN.fullmatch(text):
                raise ValueError(
                    f"{field_name} {text!r} must be lower-case letters, digits, dots, dashes or underscores"
                )
        if self.series is not None:
            self.series.check(frozenset(self.postprocessing.thresholds))

    @property
    def reference(self) -> str:
        """Return the bundle as users name it: `NAME@VERSION`."""
        return f"{self.name}@{self.version}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the labels, one per output of the network, in the order of the outputs."""
        return self.postprocessing.labels

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Return the runtimes for which the bundle has a file: `keras`, `onnx` or both."""
        return tuple(runtime for runtime, file in NETWORK_FILES.items() if file in self.files)

    @property
    def has_head(self) -> bool:
        """Return whether a sequence head turns the scores of slices into the scores of a stack."""
        return self.series is not None and self.series.aggregate == HEAD

    @property
    def keras_file(self) -> Path:
        """Return the path of the Keras file."""
        return self.path / KERAS_FILE

    @property
    def onnx_file(self) -> Path:
        """Return the path of the ONNX file."""
        return self.path / ONNX_FILE

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
            **({"unit": SERIES, "series": self.series.to_json()} if self.series is not None else {}),
            **({"codes": label_codes_to_json(self.codes)} if self.codes else {}),
            **({"onnx": self.onnx.to_json()} if self.onnx is not None else {}),
            "files": dict(self.files),
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
    for file in bundle.files:
        if not (folder / file).is_file():
            raise StopWork(f"bundle {folder}: {file} is missing. Copy the whole folder again.")
    found = {file: _sha256(folder / file) for file in bundle.files}
    changed = [file for file, sha256 in found.items() if bundle.files[file] not in ("", sha256)]
    if changed or bundle.digest != _digest(bundle, found):
        what = " and ".join(changed) or f"{', '.join(found)} or {CARD_FILE}"
        raise StopWork(
            f"bundle {folder}: {what} was changed after the bundle was saved (wrong digest). "
            "Copy the folder again from its origin, or save the bundle again under another version."
        )
    return replace(bundle, files=found)


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


def save_bundle(
    bundle: Bundle, folder: Path, save_keras: SaveFile | None = None, *, save_onnx: SaveFile | None = None
) -> Bundle:
    """Write a bundle into `folder` and return it with digests and path.

    `save_keras` writes the Keras file (for example `model.save` of Keras). `save_onnx` writes the ONNX file, whose
    signature is `bundle.onnx`. Files of the network that are already in the folder stay part of the bundle. An ONNX
    file stays only if `bundle.onnx` describes it, and the files of a head only if the bundle has a head.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, save in ((KERAS_FILE, save_keras), (ONNX_FILE, save_onnx)):
        if save is not None:
            save(folder / name)
    names = [KERAS_FILE, *([ONNX_FILE] if bundle.onnx else []), *(HEAD_FILES if bundle.has_head else [])]
    files = {name: _sha256(folder / name) for name in names if (folder / name).is_file()}
    unsealed = replace(bundle, path=folder, files=files, onnx=bundle.onnx if ONNX_FILE in files else None)
    sealed = replace(unsealed, digest=_digest(unsealed, files))
    card = json.dumps(sealed.to_json(), indent=2, ensure_ascii=False) + "\n"
    (folder / CARD_FILE).write_text(card, encoding="utf-8")
    return sealed


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(bundle: Bundle, files: Mapping[str, str]) -> str:
    """Return the digest: the SHA-256 of the fields that results depend on, as JSON text with the SHA-256 of each file.

    A bundle that has only a Keras file has the same digest as in releases that did not support ONNX.
    """
    covered = {name: value for name, value in bundle.to_json().items() if name not in _DESCRIPTIVE}
    covered |= {_COVERED_AS[file]: sha256 for file, sha256 in files.items()}
    canonical = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
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
        series=_series(card),
        codes=label_codes_from_json(card.get("codes", {}), _texts(card, "labels")),
        onnx=OnnxSignature.from_json(_table(card, "onnx")) if "onnx" in card else None,
        files=_files(card),
        digest=_text(card, "digest"),
        path=folder,
    )
    if bundle.has_head != any(file in bundle.files for file in HEAD_FILES):
        raise ValueError('series.aggregate = "head" and the file of a head belong together: one of them is missing')
    unknown = card.keys() - bundle.to_json().keys() - {"unit"}
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    return bundle


def _series(card: dict[str, Any]) -> SeriesSpec | None:
    """Return the table `series`. A bundle has this table if and only if its unit is the series."""
    unit = card.get("unit", IMAGE)
    if unit not in (IMAGE, SERIES):
        raise ValueError(f"unit is {unit!r}; allowed: {IMAGE}, {SERIES}")
    if (unit == SERIES) != ("series" in card):
        raise ValueError('unit = "series" and the table series belong together: one of them is missing')
    return SeriesSpec.from_json(_table(card, "series")) if unit == SERIES else None


def _files(card: dict[str, Any]) -> dict[str, str]:
    """Return the SHA-256 that the card states for each file.

    The card of an older bundle has no `files`; such a bundle has only a Keras file.
    """
    if "files" not in card:
        return {KERAS_FILE: ""}
    files = _table(card, "files")
    if not files or files.keys() - _COVERED_AS.keys():
        raise ValueError(f"the table `files` must name {' or '.join(_COVERED_AS)}, and nothing else")
    if not all(isinstance(sha256, str) and _SHA256.fullmatch(sha256) for sha256 in files.values()):
        raise ValueError("the table `files` must state the SHA-256 of each file as 64 hex digits")
    if (ONNX_FILE in files) != ("onnx" in card):
        raise ValueError(f"{ONNX_FILE} and the table onnx belong together: one of them is missing")
    return files


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
