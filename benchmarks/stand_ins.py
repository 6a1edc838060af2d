"""Replace reading, decoding and predicting in worker processes by stand-ins, to measure the pipeline itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FAKES = Path(__file__).with_name("fakes")


@contextmanager
def stand_ins_for_reading(*, network_seconds: float = 0.0) -> Iterator[None]:
    """Let worker processes that start meanwhile use benchmarks/fakes. Calls of the network sleep `network_seconds`."""
    before = os.environ.get("PYTHONPATH")
    path = os.pathsep.join(part for part in (str(_FAKES), before) if part)
    os.environ.update(PYTHONPATH=path, BENCH_NETWORK_SECONDS=str(network_seconds))
    try:
        yield
    finally:
        del os.environ["BENCH_NETWORK_SECONDS"]
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def write_placeholders(folder: Path, images: int) -> None:
    """Write files of one byte. The producer uses only names, sizes and times, and the stand-ins read no file."""
    folder.mkdir(parents=True)
    for number in range(images):
        (folder / f"{number:07d}.dcm").write_bytes(b"x")
