"""What is learned of a file before it is needed: the header, and a digest where no patient is known."""

import mmap
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import cast

from imaging.errors import RejectDicomImage
from imaging.limits import DEFAULT_LIMITS
from imaging.patient import PatientHasher
from imaging.raster import check_raster
from imaging.read import read
from nightread.errors import RejectImage
from nightread.reasons import Reason

PATIENTS = PatientHasher(b"nightread data sets")
"""Only tells patients apart while a data set is opened: the keys are not kept."""
_THREADS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A file whose pixels can be asked for, or `fault`."""

    frames: int = 1
    in_colour: bool = False
    patient: str | None = None
    """A key that stands for issuer and PatientID; None where the file has none."""
    digest: str | None = None
    """Of the whole content, where there is no patient."""
    sop_instance_uid: str | None = None
    fault: Reason | None = None


def read_heads(
    paths: Sequence[Path],
    read_head: Callable[[Path], Head],
    progress: Callable[[int, int], object] | None = None,
) -> list[Head]:
    """Heads in the order of `paths`, read by threads; `progress` is called from this one with (done, total)."""
    heads: list[Head] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for head in pool.map(partial(_head_or_fault, read_head), paths):
            heads.append(head)
            if progress is not None:
                progress(len(heads), len(paths))
    return heads


def dicom_head(path: Path) -> Head:
    """Map the file, so that only the header of a large one is read. Raises RejectDicomImage and OSError."""
    with path.open("rb") as stream:
        if os.fstat(stream.fileno()).st_size == 0:
            raise RejectImage(Reason.EMPTY)
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            dicom_image = read(cast("bytes", view), patient=PATIENTS)
            patient = dicom_image.facts.patient_key
            return Head(
                frames=dicom_image.frame_count,
                patient=patient,
                digest=None if patient else blake2b(view).hexdigest(),
                sop_instance_uid=dicom_image.facts.sop_instance_uid,
            )


def image_head(path: Path) -> Head:
    """Raises RejectImage for what is no whole PNG or JPEG file, and OSError."""
    if path.stat().st_size > DEFAULT_LIMITS.file_bytes:  # an archive beside the images must not fill the memory
        raise RejectImage(Reason.TOO_LARGE)
    content = path.read_bytes()
    return Head(in_colour=check_raster(content, DEFAULT_LIMITS), digest=blake2b(content).hexdigest())


def _head_or_fault(read_head: Callable[[Path], Head], path: Path) -> Head:
    if not path.is_file():  # a pipe would be waited for without end
        return Head(fault=Reason.UNREADABLE)
    try:
        return read_head(path)
    except RejectDicomImage as rejected:
        return Head(fault=rejected.reason, sop_instance_uid=rejected.facts.sop_instance_uid)
    except RejectImage as rejected:
        return Head(fault=rejected.reason)
    except OSError:
        return Head(fault=Reason.UNREADABLE)
