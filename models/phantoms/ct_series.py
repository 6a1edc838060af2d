"""Write synthetic CT series as DICOM files with the tags of real series."""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from models.phantoms.ct_habits import ADMITTED, TILT_DEGREES, PlannedSlice, SeriesHabit, plan_series
from models.phantoms.ct_volume import FIELD_OF_VIEW_MM, LUNG, SPACING_MM, CtVolume, draw_ct
from models.phantoms.dicom import add_pixels, as_file, phantom_uid
from models.phantoms.phantom import CLEAR, NODULE
from nightread.csv_cells import csv_cell

_INTERCEPT = -1024
_BITS = 12
_NOISE = 15.0
_CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
_MAKERS = ("SIEMENS", "GE MEDICAL SYSTEMS", "Philips", "TOSHIBA")


@dataclass(frozen=True, kw_only=True, slots=True)
class CtStyle:
    """The properties of a folder of series."""

    slices: int = 24
    size: int = 64
    nodule_share: float = 0.5
    habit: SeriesHabit | None = None
    """The habit of all series; None for a realistic mixture, drawn from the seed."""


MIXED_SERIES = CtStyle()


@dataclass(frozen=True, kw_only=True, slots=True)
class CtFile:
    """One file of a series and its truth."""

    content: bytes
    sop_instance_uid: str
    has_nodule: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CtSeries:
    """One synthetic series and its truth."""

    series_instance_uid: str
    label: str
    """`nodule` or `clear`."""
    habit: SeriesHabit
    files: tuple[CtFile, ...]
    """The files in the order of their names, which is not their order in space."""

    def without_contents(self) -> Self:
        """Return the truth without the bytes of the files, which may not fit into memory for a thousand series."""
        return replace(self, files=tuple(replace(file, content=b"") for file in self.files))


def write_ct_series(folder: Path, *, count: int, seed: int, style: CtStyle = MIXED_SERIES) -> Iterator[CtSeries]:
    """Write `count` series to sub-folders of `folder`, and yield the truth of each series when it is written.

    The same arguments write the same bytes. Raises OSError.
    """
    for index in range(count):
        series = ct_series(seed=seed, index=index, style=style)
        place = folder / f"series-{index:05d}"
        place.mkdir(parents=True, exist_ok=True)
        for number, file in enumerate(series.files):
            (place / f"{number:04d}.dcm").write_bytes(file.content)
        yield series


def write_slice_labels(path: Path, series: Iterable[CtSeries]) -> None:
    """Write a CSV file for --labels: for each slice 1 if a nodule is visible in it, else 0."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("sop_instance_uid", NODULE))
        for each in series:
            writer.writerows((csv_cell(file.sop_instance_uid), int(file.has_nodule)) for file in each.files)


def write_series_labels(path: Path, series: Iterable[CtSeries]) -> None:
    """Write a CSV file for --labels: `nodule` or `clear` for each series."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("series_instance_uid", "label"))
        writer.writerows((csv_cell(each.series_instance_uid), each.label) for each in series)


def ct_series(*, seed: int, index: int, style: CtStyle = MIXED_SERIES) -> CtSeries:
    """Return series number `index` of `seed`; series 2n and 2n + 1 are of one patient."""
    volume = draw_ct(seed=seed, index=index, slices=style.slices, size=style.size, nodule_share=style.nodule_share)
    rng = np.random.default_rng([seed, index, 8])
    habit = style.habit or ADMITTED[int(rng.integers(len(ADMITTED)))]
    plan = plan_series(habit, volume.has_nodule, rng)
    files = [
        _file(_described(seed, index, habit, style), volume, planned, number, rng)
        for number, planned in enumerate(plan)
    ]
    order = rng.permutation(len(files))
    return CtSeries(
        series_instance_uid=phantom_uid(seed, "ct-series", index),
        label=NODULE if volume.has_nodule.any() else CLEAR,
        habit=habit,
        files=tuple(files[number] for number in order),
    )


def _described(seed: int, index: int, habit: SeriesHabit, style: CtStyle) -> Dataset:
    """Return a data set with the elements that all slices of a series have in common."""
    patient = index // 2
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality, dataset.BodyPartExamined = CTImageStorage, "CT", "CHEST"
    dataset.StudyInstanceUID = phantom_uid(seed, "ct-study", index)
    dataset.SeriesInstanceUID = phantom_uid(seed, "ct-series", index)
    dataset.FrameOfReferenceUID = phantom_uid(seed, "ct-frame-of-reference", index)
    dataset.PatientName, dataset.PatientID = f"PHANTOM^CT{patient:05d}", f"CT{seed % 10_000:04d}-{patient:05d}"
    dataset.IssuerOfPatientID, dataset.PatientSex = "NIGHTREAD-PHANTOMS", "FM"[patient % 2]
    dataset.PatientBirthDate = f"{1930 + patient * 7 % 75}0101"
    dataset.StudyDate = dataset.SeriesDate = f"2026{1 + index % 12:02d}{1 + index % 28:02d}"
    dataset.StudyTime, dataset.SeriesNumber, dataset.StudyID = "210000", 2, f"C{index:05d}"
    dataset.AccessionNumber = f"CT{seed % 10_000:04d}{index:08d}"
    dataset.Manufacturer, dataset.ManufacturerModelName = _MAKERS[index % len(_MAKERS)], "phantom"
    dataset.SeriesDescription, dataset.PatientPosition = "synthetic phantom, no patient", "HFS"
    dataset.KVP = "120"
    if habit is SeriesHabit.TILTED:
        dataset.GantryDetectorTilt = f"{TILT_DEGREES:g}"
    if habit is not SeriesHabit.FEW_TAGS:
        dataset.SliceThickness = dataset.SpacingBetweenSlices = f"{SPACING_MM:g}"
    dataset.PixelSpacing = [f"{FIELD_OF_VIEW_MM / style.size:.6f}"] * 2
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = str(_INTERCEPT), "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = "-600", "1500"
    return dataset


def _file(dataset: Dataset, volume: CtVolume, planned: PlannedSlice, number: int, rng: np.random.Generator) -> CtFile:
    """Add the values of one slice to `dataset`, and return the slice as a file."""
    dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.{number + 1}"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER" if planned.is_marked else "AXIAL"]
    dataset.InstanceNumber = planned.instance_number
    if planned.acquisition is not None:
        dataset.AcquisitionNumber = planned.acquisition
    _add_place(dataset, planned)
    _add_image(dataset, _pixels(volume, planned, rng))
    return CtFile(
        content=as_file(dataset, "explicit"),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        has_nodule=not planned.is_localizer and bool(volume.has_nodule[planned.position]),
    )


def _add_place(dataset: Dataset, planned: PlannedSlice) -> None:
    """Add Image Position and Image Orientation (PS3.3 C.7.6.2)."""
    corner, height = -FIELD_OF_VIEW_MM / 2, SPACING_MM * planned.position
    tilt = math.radians(float(dataset.get("GantryDetectorTilt", 0)))
    plane = (1.0, 0.0, 0.0, 0.0, math.cos(tilt), -math.sin(tilt))
    if planned.is_localizer:
        plane, height = _CORONAL, -corner
    dataset.ImagePositionPatient = [f"{value:.4f}" for value in (corner, corner, height)]
    dataset.ImageOrientationPatient = [f"{value:.8f}" for value in plane]
    if "SliceThickness" in dataset:
        dataset.SliceLocation = f"{height:.4f}"


def _pixels(volume: CtVolume, planned: PlannedSlice, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the values of a slice with its own noise, so that a copy or a second acquisition has different bytes."""
    size = volume.values.shape[1]
    values = np.full((size, size), LUNG, np.float32) if planned.is_localizer else volume.values[planned.position]
    noisy: NDArray[np.float32] = values + np.float32(_NOISE) * rng.standard_normal((size, size), dtype=np.float32)
    return noisy


def _add_image(dataset: Dataset, values: NDArray[np.float32]) -> None:
    stored = np.clip(np.rint(values - _INTERCEPT), 0, (1 << _BITS) - 1).astype(np.uint16)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, _BITS, _BITS - 1
    dataset.PixelRepresentation = 0
    add_pixels(dataset, stored, "explicit")
