"""Make a version of a bundle whose results are about series."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from models.bundle import HEAD_FILES, TRAINING_FILE, Bundle, load_bundle, save_bundle
from models.runtimes.sequence_head import load_head
from models.series.spec import HEAD, SeriesSpec
from nightread.errors import UsageFault

_RECORDS = (TRAINING_FILE, "import.json")
"""The records of how the network was made. The evaluation is left out, as it states the digest of the old version."""


def series_version(bundle: Bundle, version: str, spec: SeriesSpec, target: Path, heads: Sequence[Path] = ()) -> Bundle:
    """Write the bundle as another version with the unit series into the new folder `target`.

    `heads` are the files of a sequence head, .keras or .onnx or one of each. Raises UsageFault if `spec` or `heads` are
    not allowed or `target` exists, and StopWork if the head cannot be used; then nothing is written.
    """
    if (spec.aggregate == HEAD) != bool(heads):
        raise UsageFault("--aggregate head and --head FILE belong together: one of them is missing.")
    for head in heads:
        if f"head{head.suffix}" not in HEAD_FILES:
            raise UsageFault(f"{head} must be a .keras or an .onnx file.")
    if target.exists():
        raise UsageFault(f"{target} exists already. Choose another folder with --out, or another --version.")
    try:
        card = replace(bundle, version=version, series=spec)
    except ValueError as error:
        raise UsageFault(f"{error}.") from None
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".series-", dir=target.parent) as name:
        made = Path(name) / target.name
        made.mkdir()
        for file in (*bundle.files, *_RECORDS):
            if (bundle.path / file).is_file() and file not in HEAD_FILES:
                shutil.copyfile(bundle.path / file, made / file)
        for head in heads:
            shutil.copyfile(head, made / f"head{head.suffix}")
        saved = save_bundle(card, made)
        if heads:
            load_head(saved)
        made.rename(target)
    return load_bundle(target)
