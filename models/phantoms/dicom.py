"""Write phantoms as DICOM files with realistic headers of chest films."""

import io
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import DigitalXRayImageStorageForPresentation

from models.phantoms.codecs import ENCODERS, SYNTAXES, Stored
from models.phantoms.phantom import FIELD_OF_VIEW_MM, Image, draw
from models.phantoms.truth_file import PhantomTruth, write_truth

DEPTHS = {8: np.uint8, 12: np.uint16, 16: np.uint16}
"""The type of the stored values for each BitsStored."""

_NAMESPACE = uuid.UUID("6f0d6c1e-6a0b-5c0e-9a55-3d3b1f7c2a10")
_IMPLEMENTATION = "2.25.233141870217846253124817412348051263841"
_FAMILY_NAMES = ("PHANTOM", "ACRYLIC", "WATERMAN", "GELATINE", "WAXMAN", "RESINSKI", "LUCITE", "AGAROSE")
_GIVEN_NAMES = ("ALMA", "BRUNO", "CLARA", "DIEGO", "EDITH", "FARID", "GRETA", "HUGO", "INES", "JONAS", "KEIKO", "LARS")


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomStyle:
    """The properties of a folder of phantoms. None means a realistic mixture, drawn from the seed."""

    size: int = 256
    bits: int | None = None
    """BitsStored: 8, 12 or 16."""
    syntax: str | None = None
    """A key of SYNTAXES."""
    monochrome1: bool | None = None
    nodule_share: float = 0.5

    def __post_init__(self) -> None:
        """Raise ValueError if `bits` or `syntax` is not a supported value."""
        if self.bits is not None and self.bits not in DEPTHS:
            raise ValueError(f"phantom: {self.bits} bits; allowed: {', '.join(map(str, DEPTHS))}")
        if self.syntax is not None and self.syntax not in SYNTAXES:
            raise ValueError(f"phantom: syntax {self.syntax!r}; allowed: {', '.join(SYNTAXES)}")


MIXED = PhantomStyle()


def write_phantoms(
    folder: Path, *, count: int, seed: int, style: PhantomStyle = MIXED, truth_csv: Path | None = None
) -> list[PhantomTruth]:
    """Write `count` films to `folder`, and their truth to `truth_csv`, which must be outside of `folder`.

    The same arguments write the same bytes. Raises ValueError if `truth_csv` is inside of `folder`.
    """
    if truth_csv is not None and truth_csv.resolve().is_relative_to(folder.resolve()):
        raise ValueError("phantom: the truth file would be among the scans; name a file outside of their folder")
    folder.mkdir(parents=True, exist_ok=True)
    truths = []
    for index in range(count):
        content, truth = phantom_file(seed=seed, index=index, style=style)
        (folder / truth.file).write_bytes(content)
        truths.append(truth)
    if truth_csv is not None:
        write_truth(truth_csv, truths)
    return truths


def phantom_file(*, seed: int, index: int, style: PhantomStyle = MIXED) -> tuple[bytes, PhantomTruth]:
    """Return the bytes of DICOM file number `index` of the series `seed`, and its truth."""
    film = draw(seed=seed, index=index, size=style.size, nodule_share=style.nodule_share)
    rng = np.random.default_rng([seed, index, 1])
    chosen = _settle(style, rng)
    dataset = _describe(seed, index, rng)
    _add_image(dataset, film.pixels, chosen, rng)
    truth = PhantomTruth(
        file=f"phantom-{index:06d}.dcm",
        sop_instance_uid=str(dataset.SOPInstanceUID),
        label=film.label,
        lesions=film.lesions,
        pixel_spacing_mm=FIELD_OF_VIEW_MM / style.size,
        syntax=str(chosen.syntax),
        photometric=str(dataset.PhotometricInterpretation),
        bits=int(dataset.BitsStored),
    )
    return as_file(dataset, str(chosen.syntax)), truth


def _settle(style: PhantomStyle, rng: np.random.Generator) -> PhantomStyle:
    """Choose values for None: all syntaxes are equally frequent, 70 % have 12 bits and 20 % are MONOCHROME1."""
    syntax, bits = str(rng.choice(list(SYNTAXES))), int(rng.choice(list(DEPTHS), p=(0.2, 0.7, 0.1)))
    inverted = not rng.integers(5)
    return replace(
        style,
        syntax=style.syntax or syntax,
        bits=style.bits or bits,
        monochrome1=inverted if style.monochrome1 is None else style.monochrome1,
    )


def _describe(seed: int, index: int, rng: np.random.Generator) -> Dataset:
    """Create the header of patient, study, series and equipment. Films 2n and 2n + 1 are of one patient."""
    patient = index // 2
    born = 1930 + patient * 7 % 75
    study_date = f"2026{1 + index // 2 % 6 + 6 * (index % 2):02d}{1 + index % 28:02d}"
    study_time = f"{18 + index % 6:02d}{index * 7 % 60:02d}{index * 13 % 60:02d}"
    dataset = Dataset()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = phantom_uid(seed, "image", index)
    dataset.StudyInstanceUID = phantom_uid(seed, "study", index)
    dataset.SeriesInstanceUID = phantom_uid(seed, "series", index)
    dataset.PatientName = f"{_FAMILY_NAMES[patient % len(_FAMILY_NAMES)]}^{_GIVEN_NAMES[patient % len(_GIVEN_NAMES)]}"
    dataset.PatientID = f"PH{seed % 10_000:04d}-{patient:06d}"
    dataset.IssuerOfPatientID = "NIGHTREAD-PHANTOMS"
    dataset.PatientBirthDate = f"{born}{1 + patient % 12:02d}{1 + patient % 28:02d}"
    dataset.PatientSex = "FM"[patient % 2]
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = study_date
    dataset.StudyTime = dataset.ContentTime = study_time
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = f"S{index:06d}"[-16:], 1, 1
    dataset.AccessionNumber = f"AC{seed % 10_000:04d}{index:08d}"
    dataset.ReferringPhysicianName = "NIGHT^OWL"
    dataset.InstitutionName = "Phantom General"
    dataset.Manufacturer, dataset.ManufacturerModelName = "nightread", "phantom"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0001", "1"
    dataset.StudyDescription, dataset.SeriesDescription = "Chest PA", "synthetic phantom, no patient"
    dataset.KVP, dataset.Exposure = "120", int(rng.integers(2, 9))
    return dataset


def phantom_uid(seed: int, kind: str, index: int) -> str:
    """Derive a UID from a name-based UUID (DICOM PS3.5 B.2), so that a phantom always has the same UIDs."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, f'{seed}/{kind}/{index}').int}"


def _add_image(dataset: Dataset, film: Image, style: PhantomStyle, rng: np.random.Generator) -> None:
    """Add the modules of a Digital X-Ray Image for presentation (DICOM PS3.3 A.26) and the pixels."""
    inverted, bits = bool(style.monochrome1), int(style.bits or 0)
    top = 2**bits - 1
    stored = np.rint((1 - film if inverted else film) * top).astype(DEPTHS[bits])
    centre = rng.uniform(0.45, 0.55)
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.Modality, dataset.PresentationIntentType = "DX", "FOR PRESENTATION"
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "PA"
    dataset.ImageLaterality, dataset.PatientOrientation = "U", ["L", "F"]
    dataset.AnatomicRegionSequence = Sequence([_code("51185008", "SCT", "Chest")])
    dataset.ViewCodeSequence = Sequence([_code("399348003", "SCT", "postero-anterior")])
    dataset.PixelSpacing = dataset.ImagerPixelSpacing = [f"{FIELD_OF_VIEW_MM / style.size:.6f}"] * 2
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    dataset.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if inverted else -1
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * stored.itemsize, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.WindowCenter = f"{top * (1 - centre if inverted else centre):.1f}"
    dataset.WindowWidth = f"{top * rng.uniform(0.90, 1.05):.1f}"
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    add_pixels(dataset, stored, str(style.syntax))


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def add_pixels(dataset: Dataset, stored: Stored, syntax: str) -> None:
    """Add the pixel data, padded to an even length. Compressed frames are encapsulated (DICOM PS3.5 A.4)."""
    encode = ENCODERS.get(syntax)
    if encode is None:
        native = stored.tobytes()
        dataset.PixelData = native + b"\0" * (len(native) % 2)
    else:
        dataset.PixelData = encapsulate([encode(stored, int(dataset.BitsStored))])
    dataset["PixelData"].VR = "OB" if encode is not None or stored.itemsize == 1 else "OW"


def as_file(dataset: Dataset, syntax: str) -> bytes:
    """Return a DICOM file with preamble and file meta information (DICOM PS3.10 section 7)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = SYNTAXES[syntax]
    meta.ImplementationClassUID, meta.ImplementationVersionName = _IMPLEMENTATION, "NIGHTREAD"
    buffer = io.BytesIO()
    dcmwrite(buffer, FileDataset(None, dataset, preamble=b"\0" * 128, file_meta=meta), enforce_file_format=True)
    return buffer.getvalue()
