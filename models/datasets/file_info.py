"""Read the header values and the digest of a file, which a data set needs before it decodes pixels."""

import mmap
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import cast

from imaging.dicom_image import DicomImage
from imaging.errors import RejectDicomImage
from imaging.facts import Facts
from imaging.kind import COLOUR, GREY, ImageKind
from imaging.limits import DEFAULT_LIMITS
from imaging.patient import PatientHasher
from imaging.raster import check_raster
from imaging.read import read
from imaging.read_kind import likely_kind
from imaging.series.read_slices import read_slices
from imaging.series.slice_geometry import SliceGeometry
from nightread.errors import RejectImage
from nightread.reasons import Reason

PATIENTS = PatientHasher(b"nightread data sets")
"""Hashes patient IDs to keys, which distinguish patients while a data set is opened. The keys are never stored."""
_THREADS = 8
_NO_HEADER = ImageKind(is_dicom=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileInfo:
    """The header values of a readable file, or the reason why it cannot be read."""

    frames: int = 1
    size: tuple[int, int] | None = None
    """The numbers of rows and columns."""
    kind: ImageKind = _NO_HEADER
    patient: str | None = None
    """The key of issuer and PatientID; None if the file has no PatientID."""
    digest: str | None = None
    """The BLAKE2b digest of the complete content; None if the patient is known."""
    sop_instance_uid: str | None = None
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    slices: tuple[SliceGeometry, ...] = ()
    """The position of each frame in space; empty if the data set does not consist of series."""
    reason: Reason | None = None
    """The reason why the file cannot be read; None if it can."""


def read_file_infos(
    paths: Sequence[Path],
    read_info: Callable[[Path], FileInfo],
    progress: Callable[[int, int], object] | None = None,
) -> list[FileInfo]:
    """Read files with threads and return them in the order of `paths`.

    `progress` is called with (done, total) from the calling thread.
    """
    infos: list[FileInfo] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for info in pool.map(partial(_info_or_reason, read_info), paths):
            infos.append(info)
            if progress is not None:
                progress(len(infos), len(paths))
    return infos


def read_dicom_info(path: Path, *, with_slices: bool = False) -> FileInfo:
    """Read a DICOM file through a memory map, so that only the header of a large grey file is read.

    With `with_slices`, the positions of its frames are read too. Raises RejectImage for an empty file, RejectDicomImage
    for an invalid file, and OSError.
    """
    with path.open("rb") as stream:
        if os.fstat(stream.fileno()).st_size == 0:
            raise RejectImage(Reason.EMPTY)
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            dicom_image = read(cast("bytes", view), patient=PATIENTS)
            patient = dicom_image.facts.patient_key
            return FileInfo(
                frames=dicom_image.frame_count,
                kind=likely_kind(dicom_image),
                size=_size(dicom_image.facts),
                patient=patient,
                digest=None if patient else blake2b(view).hexdigest(),
                sop_instance_uid=dicom_image.facts.sop_instance_uid,
                study_instance_uid=dicom_image.facts.study_instance_uid,
                series_instance_uid=dicom_image.facts.series_instance_uid,
                slices=_slices(dicom_image) if with_slices else (),
            )


def read_image_info(path: Path) -> FileInfo:
    """Read a PNG or JPEG file. Raises RejectImage if it is invalid, truncated or too large, and OSError."""
    if path.stat().st_size > DEFAULT_LIMITS.file_bytes:  # a large archive among the images must not fill the memory
        raise RejectImage(Reason.TOO_LARGE)
    content = path.read_bytes()
    header = check_raster(content, DEFAULT_LIMITS)
    kind = ImageKind(is_dicom=False, samples=_samples(content) if header.in_colour else GREY)
    return FileInfo(
        size=(header.rows, header.columns),
        kind=kind,
        digest=blake2b(content).hexdigest(),
    )


def _slices(dicom_image: DicomImage) -> tuple[SliceGeometry, ...]:
    elements = dicom_image.elements
    return () if elements is None else read_slices(elements, frames=dicom_image.frame_count)


def _samples(content: bytes) -> int:
    """Return 1 if a picture that is stored in colour shows only grey, else 3. Many such pictures show only grey."""
    try:
        return likely_kind(read(content, accept_raster=True)).samples
    except RejectImage:
        return COLOUR


def _size(facts: Facts) -> tuple[int, int] | None:
    return (facts.rows, facts.columns) if facts.rows and facts.columns else None


def _info_or_reason(read_info: Callable[[Path], FileInfo], path: Path) -> FileInfo:
    if not path.is_file():  # reading a pipe would wait forever
        return FileInfo(reason=Reason.UNREADABLE)
    try:
        return read_info(path)
    except RejectDicomImage as rejected:
        return FileInfo(reason=rejected.reason, sop_instance_uid=rejected.facts.sop_instance_uid)
    except RejectImage as rejected:
        return FileInfo(reason=rejected.reason)
    except OSError:
        return FileInfo(reason=Reason.UNREADABLE)
