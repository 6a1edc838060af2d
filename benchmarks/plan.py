"""Define the options of a benchmark, such as the number of images and repetitions."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The options of one call of the benchmarks."""

    processes: int
    """Number of worker processes, and of processes of each baseline."""
    repeat: int
    quick: bool
    """Whether to measure only a few images, to check that the benchmark works. The figures then mean nothing."""
    log: Callable[[str], None]
    series: int | None = None
    """Number of series for the row `series`; None means 1,000, or 2 with `quick`."""

    def count(self, full: int, quick: int) -> int:
        """Return the number of images, or other items, for this plan."""
        return quick if self.quick else full


@contextmanager
def scratch() -> Iterator[Path]:
    """Create a temporary folder, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="nightread-bench-") as folder:
        yield Path(folder)
