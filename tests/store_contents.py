"""Make many small DICOM instances, grouped into studies, and upload them to Orthanc."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pydicom
from dicom_files import phantom
from dicom_peers import Orthanc
from pydicom.dataset import FileDataset

ROOT = "1.2.826.0.1.3680043.8.498.77"


def scans(count: int, *, first: int = 0, in_study: int = 50, dated: date | None = None) -> Iterator[bytes]:
    """Yield `count` files, numbered from `first`. The same number gives the same instance with the same bytes."""
    template = pydicom.dcmread(io.BytesIO(phantom(1)))
    for number in range(first, first + count):
        yield _scan(template, number, study=number // in_study, dated=dated or datetime.now(UTC).date())


def fill(orthanc: Orthanc, count: int, *, first: int = 0, **how: object) -> list[str]:
    """Upload `count` instances; return their Orthanc ids."""
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(orthanc.upload, scans(count, first=first, **how)))  # type: ignore[arg-type]


def _scan(template: FileDataset, number: int, *, study: int, dated: date) -> bytes:
    template.StudyInstanceUID, template.SeriesInstanceUID = f"{ROOT}.1.{study}", f"{ROOT}.2.{study}"
    template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.3.{number}"
    template.PatientID, template.StudyDate = f"P{study}", f"{dated:%Y%m%d}"
    template.AccessionNumber = template.StudyID = f"A{study}"
    template.InstanceNumber = number
    buffer = io.BytesIO()
    template.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
