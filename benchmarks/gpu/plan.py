"""Define the sizes and time budgets of a run on a GPU, and of a rehearsal on the CPU."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Self

SIZES = (64, 256, 1024, 16, 128, 512, 32)
"""Batch sizes in frames. The most important sizes come first, in case the time ends."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The sizes of a run. Each group of rows gets the plan as JSON."""

    rehearsal: bool
    """Whether the run uses no GPU: small counts show that the benchmark works, but no figure is a GPU figure."""
    sizes: tuple[int, ...] = SIZES
    pixels: int = 224
    """Rows and columns of a network input; it has one channel."""
    width: int = 64
    """Channels of the first stage of the benchmark's network; 64 makes it a ResNet-18."""
    seconds: float = 0.7
    """Duration of one measurement of the network."""
    files: int = 2_000
    """Number of DICOM files. A measurement reads them again and again from the page cache."""
    file_pixels: int = 512
    pipeline_seconds: float = 8.0
    pipeline_batch: int = 256
    processes: int = 15
    recorded: int = 4_096

    def to_json(self) -> str:
        """Return the plan as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the plan that `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "sizes": tuple(values["sizes"])})


def plan_for(*, has_gpu: bool, tiny: bool = False) -> Plan:
    """Return the plan for a machine. With `tiny`, it is the smallest plan that measures every row, for tests."""
    cores = len(os.sched_getaffinity(0))
    if has_gpu:
        return Plan(rehearsal=False, processes=max(cores - 1, 1))
    return Plan(
        rehearsal=True,
        sizes=(16,) if tiny else (16, 64),
        pixels=32,
        width=4,
        seconds=0.02 if tiny else 0.2,
        files=24 if tiny else 400,
        file_pixels=64 if tiny else 512,
        pipeline_seconds=0.1 if tiny else 3.0,
        pipeline_batch=8 if tiny else 64,
        processes=2 if tiny else max(cores, 2),
        recorded=32 if tiny else 512,
    )


BUDGETS = {
    "network": 75,
    "decode": 50,
    "pipeline": 90,
    "worker": 75,
}
"""Seconds for each group of rows. `network` runs once per runtime: with three runtimes, all groups need 440 s."""
TOTAL_SECONDS = 465
"""Seconds for all groups, so that the whole command takes less than eight minutes."""
