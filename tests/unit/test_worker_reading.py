"""Images are read in parts that fit into memory, and a suspicious one is read in a disposable process first."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ledger_driver import SettableClock

from db.ledger import Claimed
from worker.fetching.files import Fetched
from worker.prepared_image import PreparedImage
from worker.reading import ImageReader

NOW = SettableClock()()
MIB = 1024**2
FILE = Fetched(data=b"scan", content="f" * 64, size=4, mtime_ns=7)


def claimed(number: int, *, alone: bool = False, root: str = "/inbox") -> Claimed:
    return Claimed(
        work_id=number,
        instance_id=number,
        source="inbox",
        root=root,
        uri=f"{number}.dcm",
        size=4,
        mtime_ns=7,
        attempts=1,
        alone=alone,
        arrived_at=NOW,
        tried_since=NOW,
        marked=False,
    )


class FakeContext:
    """What reading needs of a WorkerContext, with a note of what it was asked for."""

    def __init__(self, *, cautious: bool = False) -> None:
        self.events: list[Any] = []
        self.slot = self
        self.trial_reader = self
        self.decode_pool = None
        self.model_set = self
        self.specs = ("spec",)
        self.only_neighbours = False
        self._cautious = cautious

    def is_cautious(self) -> bool:
        """Return whether an image has killed a process recently."""
        return self._cautious

    def read(self, image: Claimed, specs: object, _progress: object, data: bytes | None) -> None:
        """Read the image in a disposable process."""
        self.events.append(("trial", image.work_id, specs, data))

    def keep_lease(self, batch_id: str) -> None:
        """Renew the lease of the batch."""
        self.events.append(("lease", batch_id))

    @contextmanager
    def in_flight(self, image: Claimed) -> Iterator[None]:
        """Mark an image as in flight."""
        self.events.append(("marked", image.work_id))
        yield
        self.events.append(("cleared", image.work_id))


class SizedReader(ImageReader):
    """A reader of images whose prepared frames have the sizes that a test names; None: it has its outcome already."""

    def __init__(self, sizes: list[int | None]) -> None:
        super().__init__(FakeContext(), "batch", None, None)  # type: ignore[arg-type]
        self._sizes = dict(enumerate(sizes))

    def _read(self, image: Claimed) -> PreparedImage | None:
        size = self._sizes[image.work_id]
        return None if size is None else PreparedImage(image, (), (), size)  # type: ignore[arg-type]


def parts(*sizes: int | None) -> list[int]:
    """Return the numbers of images of the parts."""
    reader = SizedReader(list(sizes))
    return [len(part) for part in reader.read_in_parts([claimed(number) for number in range(len(sizes))])]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], [0]),
        ([1] * 255, [255]),
        ([1] * 256, [256, 0]),
        ([1] * 600, [256, 256, 88]),
        ([None] * 300 + [1] * 3, [3]),
        ([32 * MIB] * 5, [2, 2, 1]),
        ([32 * MIB, 32 * MIB - 1, 1, 5], [3, 1]),
        ([100 * MIB, 1], [1, 1]),
        ([None, 64 * MIB, None, 1], [1, 1]),
        ([63 * MIB, None, MIB], [2, 0]),
        ([64 * MIB, 64 * MIB - 1, 1], [1, 2, 0]),
    ],
)
def test_a_part_ends_at_256_images_or_at_64_mib(sizes: list[int | None], expected: list[int]) -> None:
    """Images that have their outcome already do not count. The last part may be empty."""
    assert parts(*sizes) == expected


@pytest.mark.parametrize(
    ("alone", "cautious", "file", "trial"),
    [
        (False, False, None, []),
        (True, False, None, [("trial", 1, ("spec",), None)]),
        (False, True, None, [("trial", 1, ("spec",), None)]),
        (True, True, FILE, [("trial", 1, ("spec",), b"scan")]),
    ],
    ids=["ordinary", "marked alone", "a process died recently", "bytes of a store"],
)
def test_a_suspicious_image_is_read_in_a_disposable_process_first(
    alone: bool, cautious: bool, file: Fetched | None, trial: list[object]
) -> None:
    """It gets the bytes if they were retrieved from a store already."""
    context = FakeContext(cautious=cautious)
    reader = ImageReader(context, "batch", None, None)  # type: ignore[arg-type]
    reader._trial_read_if_suspicious(claimed(1, alone=alone), file)
    assert context.events == trial


def test_an_image_is_marked_only_while_a_chunk_of_it_is_decoded() -> None:
    """While the network works on a chunk, a death is not the fault of this image."""
    context = FakeContext()
    reader = ImageReader(context, "batch", None, None)  # type: ignore[arg-type]
    seen = []
    for chunk in reader._decode_later(claimed(7), iter([("a",), ("b",)])):  # type: ignore[arg-type]
        context.events.append(("predicted", *chunk))
        seen.append(chunk)
    assert seen == [("a",), ("b",)]
    decoding = [("marked", 7), ("cleared", 7)]
    assert context.events == [*decoding, ("predicted", "a"), *decoding, ("predicted", "b"), *decoding]
