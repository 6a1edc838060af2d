"""What arrives during a run, when, and what must have become of it in the end."""

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.phantom_dicom import PhantomStyle, phantom_file

_DRAWN = 60
_STYLE = PhantomStyle(size=64, bits=12, syntax="explicit", monochrome1=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One name in the inbox, and the bytes that end up under it."""

    at: float
    """Seconds after the start."""
    name: str
    content: bytes
    manner: str
    """`rename`: written elsewhere; `slowly`: in place, in two pieces; `replaced`: truncated first, whole later."""


def plan(seed: int, images: int, seconds: float) -> list[File]:
    """Mostly good scans, each with bytes of its own; some broken, some twice, some replaced, in order of arrival."""
    rng = random.Random(seed)
    drawn = [phantom_file(seed=seed, index=index, style=_STYLE) for index in range(_DRAWN)]
    files: list[File] = []
    for number in range(images):
        data, truth = drawn[number % _DRAWN]
        uid = truth.sop_instance_uid.encode()
        good = data.replace(uid, uid[:-6] + b"%06d" % number)
        content, manner = _variant(rng, good, [file.content for file in files[-50:]])
        at = seconds * (number + rng.random()) / images
        files.append(File(at=at, name=f"{number % 20:02d}/scan-{number:06d}.dcm", content=content, manner=manner))
    return sorted(files, key=lambda file: file.at)


def _variant(rng: random.Random, good: bytes, earlier: Sequence[bytes]) -> tuple[bytes, str]:
    kind = rng.choices(("good", "slow", "replaced", "copy", "truncated", "text", "empty"), (100, 10, 2, 3, 2, 1, 1))[0]
    if kind == "copy" and earlier:
        return rng.choice(earlier), "rename"
    contents = {
        "truncated": good[: len(good) * 2 // 3],
        "text": b"not a scan " + str(rng.random()).encode(),
        "empty": b"",
    }
    manners = {"slow": "slowly", "replaced": "replaced"}
    return contents.get(kind, good), manners.get(kind, "rename")


class Sender:
    """Brings files when their time has come."""

    def __init__(self, inbox: Path, transfer: Path, files: Sequence[File]) -> None:
        self._inbox = inbox
        self._transfer = transfer
        self._files = list(files)
        self._unfinished: list[tuple[float, Path, bytes]] = []
        self._started = time.monotonic()

    @property
    def left(self) -> int:
        """Files that are still to come, or to be completed."""
        return len(self._files) + len(self._unfinished)

    def send_due(self) -> None:
        """Write what is due by now."""
        elapsed = time.monotonic() - self._started
        for entry in [entry for entry in self._unfinished if entry[0] <= elapsed]:
            self._unfinished.remove(entry)
            _, path, content = entry
            path.write_bytes(content)
        while self._files and self._files[0].at <= elapsed:
            self._send(self._files.pop(0), elapsed)

    def _send(self, file: File, elapsed: float) -> None:
        path = self._inbox / file.name
        path.parent.mkdir(exist_ok=True)
        if file.manner == "rename":
            passing = self._transfer / "file"
            passing.write_bytes(file.content)
            passing.rename(path)
            return
        path.write_bytes(file.content[: len(file.content) // 2])
        os.utime(path)
        self._unfinished.append((elapsed + (0.5 if file.manner == "slowly" else 4.0), path, file.content))
