"""Folders of DICOM files to measure with: phantoms, multiplied so that no two files are alike."""

from dataclasses import dataclass
from pathlib import Path

from models.phantom_dicom import PhantomStyle, phantom_file

_DRAWN = 24
_SEED = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """What a folder holds."""

    name: str
    images: int
    style: PhantomStyle


SMALL = Workload(
    name="28x28 16-bit", images=20_000, style=PhantomStyle(size=28, bits=16, syntax="explicit", monochrome1=False)
)
LARGE = Workload(
    name="512x512 16-bit", images=2_000, style=PhantomStyle(size=512, bits=16, syntax="explicit", monochrome1=False)
)
WARM_UP = Workload(name="warm-up", images=0, style=PhantomStyle(size=64, bits=8, syntax="explicit", monochrome1=False))
WORKLOADS = {"28": SMALL, "512": LARGE}


def write(workload: Workload, folder: Path, images: int, *, first: int = 0) -> None:
    """Write `images` files of this workload: some are drawn, the rest are those under other SOP Instance UIDs."""
    folder.mkdir(parents=True)
    drawn = [phantom_file(seed=_SEED, index=index, style=workload.style) for index in range(_DRAWN)]
    for number in range(first, first + images):
        data, truth = drawn[number % _DRAWN]
        old = truth.sop_instance_uid.encode()
        new = old[:-6] + b"%06d" % number
        (folder / f"{number:06d}.dcm").write_bytes(data.replace(old, new))
