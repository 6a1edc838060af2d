"""Replace reading, decoding and predicting inside real worker processes by stand-ins.

Python imports a module of this name at its start; benchmarks.stand_ins puts this folder on PYTHONPATH. No file of
nightread is changed: when a worker process imports one of these modules, some names in it are replaced at once.

- models.runtimes.load: a network that sleeps and always returns the same scores. No runtime is imported.
- worker.fetching.files: opens no file; the hash is random, so that no image is a copy.
- worker.decode: parses nothing and prepares frames of one pixel, with the facts of a CT slice.
- worker.inference.model_set: the bundle gets no domain, because its own domain would reject these CT slices.

Hashes and facts are made before the process takes its first batch, because stand-ins should cost almost no time.

Everything else is the real code: Celery, claim, worker.analyse, look-up of copies, record, notifications.
"""

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import ModuleSpec
from itertools import chain, count, repeat
from types import ModuleType
from typing import Any

_SECONDS = float(os.environ.get("BENCH_NETWORK_SECONDS", "0"))
_MADE_BEFORE = 40_000
"""Number of images for which one process makes hashes and facts in advance; it makes more when they are needed."""
_numbers = count()


class _Replacer:
    """An import hook that lets Python load a module, then replaces names in it."""

    def __init__(self, replacements: dict[str, Callable[[ModuleType], None]]) -> None:
        self._replacements = replacements

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        replace = self._replacements.pop(name, None)
        if replace is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            raise ImportError(f"benchmarks/fakes: the module {name} no longer exists; adapt this file")
        execute = spec.loader.exec_module

        def execute_and_replace(module: ModuleType) -> None:
            execute(module)
            replace(module)

        spec.loader.exec_module = execute_and_replace  # type: ignore[method-assign]
        return spec


class _Network:
    """Sleeps for the same time in each call, for any size of the micro-batch, and uses no processor time."""

    runtime = "none"

    def __init__(self, bundle: Any, *_: Any, **__: Any) -> None:
        import numpy as np

        self._scores = np.full((256, len(bundle.labels)), 0.25, np.float32)
        self._scores[:, 0] = 0.75

    def batch_scores(self, inputs: Any) -> Any:
        if _SECONDS:
            time.sleep(_SECONDS)
        return self._scores[: len(inputs)]


def _replace_network(module: ModuleType) -> None:
    _replace(module, "load_network", _Network)


def _supply(make: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that returns results of `make`. Each forked process makes most of its results in advance."""
    supply: Iterator[Any] = iter(())

    def fill() -> None:
        nonlocal supply
        made = [make() for _ in range(_MADE_BEFORE)]
        supply = chain(made, (make() for _ in repeat(None)))

    fill()
    os.register_at_fork(after_in_child=fill)  # otherwise all processes of a pool would have the same results
    return lambda: next(supply)


def _replace_fetch(module: ModuleType) -> None:
    next_hash = _supply(lambda: f"blake3:{os.urandom(32).hex()}")

    def fetch(image: Any, **_: Any) -> Any:
        return module.Fetched(data=b"", content=next_hash(), size=image.size, mtime_ns=image.mtime_ns)

    _replace(module, "fetch", fetch)


def _replace_decode(module: ModuleType) -> None:
    import numpy as np

    pixel = np.zeros((1, 1, 1, 1), np.float32)
    scan = partial(module.DicomImage, frame_count=1, elements=None, source=())
    facts = partial(_facts_class(), **_FACTS)

    def make() -> Any:
        return scan(facts=facts(sop_instance_uid=f"1.2.826.0.1.3680043.10.999.{os.getpid()}.{next(_numbers)}"))

    next_scan = _supply(make)

    def open_dicom_image(_context: Any, _data: bytes, _origin: str) -> Any:
        return next_scan()

    def decode_in_chunks(_scan: Any, specs: Any, _context: Any, **_: Any) -> Any:
        yield (pixel,) * len(specs)

    _replace(module, "open_dicom_image", open_dicom_image)
    _replace(module, "decode_in_chunks", decode_in_chunks)


def _replace_model_set(module: ModuleType) -> None:
    from dataclasses import replace

    find_bundle = module.find_bundle
    _replace(module, "find_bundle", lambda *place: replace(find_bundle(*place), domain=None))


def _replace(module: ModuleType, name: str, stand_in: object) -> None:
    getattr(module, name)  # raises if the name no longer exists; otherwise the real code would be measured
    setattr(module, name, stand_in)


def _facts_class() -> Any:
    from imaging.facts import Facts

    return Facts


_FACTS = {
    "series_instance_uid": "1.2.826.0.1.3680043.10.999.2",
    "study_instance_uid": "1.2.826.0.1.3680043.10.999.3",
    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
    "transfer_syntax": "1.2.840.10008.1.2.1",
    "modality": "CT",
    "body_part": "CHEST",
    "image_type": "ORIGINAL\\PRIMARY\\AXIAL",
    "study_date": "20261105",
    "rows": 512,
    "columns": 512,
    "frames": 1,
    "patient_key": "a" * 64,
    "accession_key": "b" * 64,
    "key_id": "0" * 8,
    "decoder": "native",
}

sys.meta_path.insert(
    0,
    _Replacer(
        {
            "models.runtimes.load": _replace_network,
            "worker.fetching.files": _replace_fetch,
            "worker.decode": _replace_decode,
            "worker.inference.model_set": _replace_model_set,
        }
    ),
)
