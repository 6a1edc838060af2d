"""A foreign file becomes a bundle, or nothing is left of it."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models.bundle import Bundle, load_bundle, save_bundle
from models.catalogue import entries
from models.importing.checks import check
from models.importing.comparison import GoldenComparison, compare
from models.importing.convert import Conversion, converted
from models.importing.errors import RefusedModel
from models.importing.golden import Golden
from nightread import __version__
from nightread.errors import StopWork

IMPORT_FILE = "import.json"
"""How the bundle came about; outside its digest."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A bundle that may be used from now on."""

    bundle: Bundle
    record: dict[str, Any]
    """What import.json says."""


def import_model(
    file: Path, bundle: Bundle, folder: Path, *, golden: Golden | None, folders: Sequence[Path] = ()
) -> Imported:
    """Make `folder`/NAME-VERSION from a foreign file and the card that describes it.

    `folders` are those in which the name must be new, beside `folder` and the shipped ones. Without `golden` the record
    says that nobody checked the preprocessing. Raises RefusedModel; then nothing was written.
    """
    target = folder / f"{bundle.name}-{bundle.version}"
    _require_new(bundle, target, (folder, *folders))
    inputs = None if golden is None else golden.inputs(bundle.spec)
    with converted(file, bundle.spec.shape, inputs) as found:
        check(bundle, found)
        comparison = None if golden is None else compare(bundle, file, golden, found.scores)
        record = _record(file, found, comparison)
        _write(bundle, found, record, target)
    return Imported(bundle=load_bundle(target), record=record)


def _require_new(bundle: Bundle, target: Path, folders: Sequence[Path]) -> None:
    taken = next((entry.path for entry in entries(folders) if entry.reference == bundle.reference), None)
    if taken is None and target.exists():
        taken = target
    if taken is not None:
        raise RefusedModel(
            f"{bundle.reference} exists already: {taken}. A bundle never changes once it may have been used: "
            "give the new one another --version."
        )


def _record(file: Path, found: Conversion, comparison: GoldenComparison | None) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    return {
        "imported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "nightread": __version__,
        "file": {"name": file.name, "bytes": file.stat().st_size, "sha256": digest},
        "keras": found.keras,
        "backend": found.backend,
        "parameters": found.parameters,
        "last_activation": found.activation,
        "sandbox": found.walls,
        "golden": {"verified": False} if comparison is None else comparison.to_json(),
    }


def _write(bundle: Bundle, found: Conversion, record: dict[str, Any], target: Path) -> None:
    """Whole or not at all: written one folder deeper than the catalogue looks, then renamed."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".import-", dir=target.parent) as name:
        made = Path(name) / target.name
        save_bundle(bundle, made, lambda path: shutil.copyfile(found.path, path))
        (made / IMPORT_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        _require_readable(made)
        try:
            made.rename(target)
        except OSError as error:
            raise RefusedModel(f"{target} cannot be made ({os.strerror(error.errno or 0)}).") from error


def _require_readable(made: Path) -> None:
    """As a worker will read it: a card may hold what only a bundle that was written shows to be wrong."""
    try:
        load_bundle(made)
    except StopWork as error:
        raise RefusedModel(f"The card cannot be used: {error}") from error
