"""How much a benchmark does."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The wishes of who called."""

    processes: int
    """Worker processes, and processes of everything that is held against them."""
    repeat: int
    quick: bool
    """Few images, to see whether it works: the figures mean nothing."""
    say: Callable[[str], None]

    def count(self, full: int, quick: int) -> int:
        """How many there are to be."""
        return quick if self.quick else full


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="nightread-bench-") as folder:
        yield Path(folder)
