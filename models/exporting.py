"""Make a version of a bundle that has an ONNX file beside its Keras file."""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import TRAINING_FILE, Bundle, load_bundle, save_bundle
from models.datasets.dataset import Examples
from models.drift_reference import DRIFT_FILE
from models.importing.import_model import IMPORT_FILE
from models.networks.scoring import score, scored_batches
from models.runtimes.added_onnx import add_onnx
from models.runtimes.keras_network import load_keras_network
from nightread.errors import StopWork, UsageFault
from nightread.runtime_names import KERAS

_RECORDS = (TRAINING_FILE, IMPORT_FILE)


def export_bundle(
    bundle: Bundle,
    version: str,
    target: Path,
    *,
    examples: Examples | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> tuple[Bundle, dict[str, Any]]:
    """Write the bundle as another version with an ONNX file into the new folder `target`.

    The Keras file and the ONNX file must give the same scores and labels for noise and for `examples`. `progress` is
    called twice for each frame. Returns the new bundle and the record of the export, which is also written into
    training.json or import.json. Raises UsageFault if the bundle has no Keras file or `target` exists, and StopWork if
    the export fails; then nothing is written.
    """
    if KERAS not in bundle.runtimes:
        raise UsageFault(f"{bundle.reference} has no Keras file to export.")
    if target.exists():
        raise UsageFault(f"{target} exists already. Choose another folder with --out, or another --version.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".export-", dir=target.parent) as name:
        made = Path(name) / target.name
        card = replace(bundle, version=version, onnx=None)
        network = load_keras_network(save_bundle(card, made, lambda path: shutil.copyfile(bundle.keras_file, path)))
        batches: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]] = ()
        if examples is not None:
            scored = score(network, examples, progress=progress)
            batches = scored_batches(examples, scored, bundle.spec, progress)
        _, record = add_onnx(network, batches)
        if not record["exported"]:
            raise StopWork(f"{bundle.reference} cannot be exported as ONNX: {record['reason']}. Serve it with Keras.")
        _copy_records(bundle.path, made, record)
        if (bundle.path / DRIFT_FILE).is_file():  # both networks give the same scores
            shutil.copyfile(bundle.path / DRIFT_FILE, made / DRIFT_FILE)
        made.rename(target)
    return load_bundle(target), record


def _copy_records(origin: Path, made: Path, export: dict[str, Any]) -> None:
    """Copy the records of how the network was made. The evaluation is left out, because it states the old digest."""
    for name in _RECORDS:
        if (origin / name).is_file():
            record = json.loads((origin / name).read_text("utf-8"))
            text = json.dumps(record | {"onnx": export}, indent=2, ensure_ascii=False)
            (made / name).write_text(text + "\n", encoding="utf-8")
