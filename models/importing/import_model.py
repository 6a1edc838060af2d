"""Import a foreign file as a bundle, completely or not at all."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle, load_bundle, save_bundle
from models.catalogue import entries
from models.domain_of_data import domain_of, with_stated
from models.drift_reference import make_reference, write_reference
from models.drift_values import levels_of
from models.importing.checks import check
from models.importing.comparison import GoldenComparison, compare
from models.importing.convert import Conversion, converted
from models.importing.errors import RefusedModel
from models.importing.golden import Golden
from models.importing.graph_options import GraphOptions
from models.input_range import InputRange
from nightread import __version__
from nightread.drift.judgement import FEWEST_IMAGES
from nightread.drift.reference import DriftReference
from nightread.errors import StopWork

IMPORT_FILE = "import.json"
"""The record of the import in the folder of the bundle; the digest does not cover it."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """The result of an import."""

    bundle: Bundle
    record: dict[str, Any]
    """The content of import.json."""


def import_model(
    file: Path,
    bundle: Bundle,
    folder: Path,
    *,
    golden: Golden | None,
    folders: Sequence[Path] = (),
    stated_domain: Mapping[str, Any] | None = None,
    options: GraphOptions | None = None,
    accept_weaker: bool = False,
) -> Imported:
    """Create the bundle `folder`/NAME-VERSION from a foreign file and the card that describes it.

    The name must be new in `folder`, in `folders` and among the shipped bundles. Without `golden` the record says that
    the preprocessing is not verified. The domain is derived from the golden images; fields of `stated_domain` replace
    its fields. `options` is what the card says about an ONNX graph. With `accept_weaker`, the file is loaded even if
    this machine cannot isolate the process that loads it. Raises RefusedModel; then nothing is written.
    """
    target = folder / f"{bundle.name}-{bundle.version}"
    _require_new(bundle, target, (folder, *folders))
    inputs = None if golden is None else golden.inputs(bundle.spec)
    if golden is not None and inputs is not None:
        found_domain = domain_of(
            {example.kind for example in golden.examples}, len(inputs), InputRange.measure([inputs])
        )
        bundle = replace(bundle, domain=with_stated(found_domain, stated_domain or {}))
    with converted(
        file,
        bundle.spec.shape,
        inputs,
        labels=len(bundle.labels),
        options=options,
        with_onnx=True,
        accept_weaker=accept_weaker,
    ) as found:
        check(bundle, found)
        comparison = (
            None
            if golden is None
            else compare(bundle, file, golden, found.scores, options=options, accept_weaker=accept_weaker)
        )
        record = _record(file, found, comparison)
        reference = None if golden is None or inputs is None else _reference(bundle, golden, inputs, found.scores)
        _write(bundle, found, record, target, reference)
    return Imported(bundle=load_bundle(target), record=record)


def _require_new(bundle: Bundle, target: Path, folders: Sequence[Path]) -> None:
    taken = next((entry.path for entry in entries(folders) if entry.reference == bundle.reference), None)
    if taken is None and target.exists():
        taken = target
    if taken is not None:
        raise RefusedModel(
            f"{bundle.reference} exists already: {taken}. A bundle is never replaced, because results may refer to it. "
            "Give another --version."
        )


def _record(file: Path, found: Conversion, comparison: GoldenComparison | None) -> dict[str, Any]:
    return {
        "imported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "nightread": __version__,
        "file": {"name": file.name, "bytes": found.original.size, "sha256": found.original.sha256},
        **_runtime(found),
        "parameters": found.parameters,
        "last_activation": found.activation,
        "sandbox": found.confinement,
        "golden": {"verified": False} if comparison is None else comparison.to_json(),
    }


def _runtime(found: Conversion) -> dict[str, Any]:
    if found.graph is None:
        exported = {} if found.onnx_copy is None else {"onnx": found.onnx_copy.record}
        return {"runtime": "keras", "keras": found.keras, "backend": found.backend, **exported}
    return {"runtime": "onnx", "graph": found.graph.to_json()}


def _reference(
    bundle: Bundle, golden: Golden, inputs: NDArray[np.float32], scores: NDArray[np.float64]
) -> DriftReference | None:
    """Return the drift reference of the golden images; None if there are too few, or a score is not finite."""
    results = bundle.postprocessing.image_results(scores)
    found = [result for result in results if result is not None]
    if len(found) < max(FEWEST_IMAGES, len(results)):
        return None
    return make_reference(
        bundle.postprocessing,
        labels=[result.label for result in found],
        scores=np.array([result.scores for result in found]),
        levels=levels_of(inputs, bundle.spec),
        facts=[example.facts for example in golden.examples],
    )


def _write(
    bundle: Bundle, found: Conversion, record: dict[str, Any], target: Path, reference: DriftReference | None
) -> None:
    """Write the bundle to a folder that the catalogue does not search, and rename it when it is complete."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".import-", dir=target.parent) as name:
        made = Path(name) / target.name
        _save(bundle, found, made)
        if reference is not None:
            write_reference(made, reference)
        (made / IMPORT_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        _require_readable(made)
        try:
            made.rename(target)
        except OSError as error:
            raise RefusedModel(
                f"{target} cannot be created ({os.strerror(error.errno or 0)}). Check the folder and its permissions."
            ) from error


def _save(bundle: Bundle, found: Conversion, folder: Path) -> None:
    def copy(path: Path) -> None:
        shutil.copyfile(found.path, path)

    if found.graph is None:
        signature = None if found.onnx_copy is None else found.onnx_copy.signature
        export = None if signature is None else partial(shutil.copyfile, found.onnx_path)
        save_bundle(replace(bundle, onnx=signature), folder, copy, save_onnx=export)
    else:
        save_bundle(replace(bundle, onnx=found.graph.signature), folder, save_onnx=copy)


def _require_readable(made: Path) -> None:
    """Load the bundle as a worker does: some errors of a card show only when the written bundle is loaded."""
    try:
        load_bundle(made)
    except StopWork as error:
        raise RefusedModel(f"The card is invalid: {error}") from error
