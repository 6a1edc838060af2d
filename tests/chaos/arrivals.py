"""Plan the files of a run, and write each one at its time and in its mode."""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from models.phantoms.dicom import PhantomStyle, phantom_file
from models.phantoms.truth_file import PhantomTruth
from nightread.content_digest import content_of

_DRAWN = 60
_STYLE = PhantomStyle(size=64, bits=12, syntax="explicit", monochrome1=False)
_SLOW_SECONDS = 1.2
_KINDS = {"good": 100, "direct": 10, "slow": 3, "replaced": 3, "copy": 3, "truncated": 3, "text": 2, "empty": 1}
_WEIGHTS = tuple(_KINDS.values())


class WriteMode(StrEnum):
    """The way in which a file is written."""

    RENAME = "rename"
    """To another folder, then renamed: the safe way."""
    DIRECT = "direct"
    """In place, at once."""
    SLOW = "slow"
    """In place, with a pause in the middle that is longer than the settling time."""


_MODES = {mode.value: mode for mode in WriteMode}


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedFile:
    """One file to write."""

    at: float
    """Seconds after the start."""
    name: str
    content: bytes
    mode: WriteMode
    replaces: bool = False
    """Whether the file replaces an earlier valid file of the same name."""

    @property
    def identity(self) -> str:
        """The identity of the content."""
        return content_of(self.content)


def plan_files(seed: int, images: int, seconds: float) -> list[PlannedFile]:
    """Plan `images` names over `seconds`, in chronological order. Most are valid, each with different bytes.

    The same seed gives the same plan.
    """
    rng = random.Random(seed)
    drawn = [phantom_file(seed=seed, index=index, style=_STYLE) for index in range(_DRAWN)]
    arrivals: list[PlannedFile] = []
    for number in range(images):
        good = _with_own_uid(*drawn[number % _DRAWN], number)
        (kind,) = rng.choices(tuple(_KINDS), _WEIGHTS)
        at = seconds * (number + rng.random()) / images
        name = f"{number % 20:02d}/scan-{number:06d}.dcm"
        content = _content(kind, good, [arrival.content for arrival in arrivals[-50:]], rng)
        mode = _MODES.get(kind, WriteMode.RENAME)
        arrivals.append(PlannedFile(at=at, name=name, content=content, mode=mode))
        if kind == "replaced":
            newer = _with_own_uid(*drawn[(number + 1) % _DRAWN], images + number)
            later = min(seconds, at + rng.uniform(0.1, 20))
            arrivals.append(PlannedFile(at=later, name=name, content=newer, mode=WriteMode.RENAME, replaces=True))
    return sorted(arrivals, key=lambda arrival: arrival.at)


class FileWriter:
    """A thread that writes each file at its time, for as long as the context lasts."""

    def __init__(self, inbox: Path, arrivals: Sequence[PlannedFile]) -> None:
        self._inbox = inbox
        self._arrivals = arrivals
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._slow: list[threading.Timer] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._stop.set()
        self.wait()

    def wait(self) -> None:
        """Wait until all files are written."""
        self._thread.join()
        for timer in self._slow:
            timer.join()

    def _run(self) -> None:
        began = time.monotonic()
        for arrival in self._arrivals:
            if self._stop.wait(max(0.0, began + arrival.at - time.monotonic())):
                return
            self._write(arrival)

    def _write(self, arrival: PlannedFile) -> None:
        path = self._inbox / arrival.name
        path.parent.mkdir(exist_ok=True)
        if arrival.mode is WriteMode.RENAME:
            transfer = self._inbox.parent / "transfer"
            transfer.write_bytes(arrival.content)
            transfer.rename(path)
            return
        half = len(arrival.content) // 2
        path.write_bytes(arrival.content[:half])
        if arrival.mode is WriteMode.DIRECT:
            _append(path, arrival.content[half:])
            return
        timer = threading.Timer(_SLOW_SECONDS, _append, (path, arrival.content[half:]))
        timer.start()
        self._slow.append(timer)


def _append(path: Path, rest: bytes) -> None:
    with path.open("ab") as file:
        file.write(rest)


def _with_own_uid(data: bytes, truth: PhantomTruth, number: int) -> bytes:
    """Change the SOP Instance UID to another of the same length, because drawing thousands of images takes minutes."""
    uid = truth.sop_instance_uid.encode()
    return data.replace(uid, uid[:-6] + b"%06d" % number)


def _content(kind: str, good: bytes, earlier: Sequence[bytes], rng: random.Random) -> bytes:
    if kind == "copy" and earlier:
        return rng.choice(earlier)
    bad = {"truncated": good[: len(good) * 2 // 3], "text": b"Not a scan. %r" % rng.random(), "empty": b""}
    return bad.get(kind, good)
