"""Define the coded concepts of reports: standard codes, or codes of the scheme 99NIGHTREAD (docs/reports.md)."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import sha256

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from db.queries import ReportedBundle
from imaging.own_results import CODING_SCHEME
from nightread.plain_text import visible

DEVICE = CodedConcept.from_code(codes.DCM.Device)
COMMENT = CodedConcept.from_code(codes.DCM.Comment)
PROBABILITY = CodedConcept.from_code(codes.DCM.Probability)
FINDING = CodedConcept.from_code(codes.DCM.Finding)
GRAD_CAM = CodedConcept.from_code(codes.DCM.GradientWeightedClassActivation)
"""The method by which regions are found (DICOM PS3.16, CID 217)."""
NO_UNITS = CodedConcept.from_code(codes.UCUM.NoUnits)
ARTIFICIAL_INTELLIGENCE = CodedConcept.from_code(codes.DCM.ArtificialIntelligence)
PERCENT = CodedConcept.from_code(codes.UCUM.Percent)
PRESENT = CodedConcept.from_code(codes.SCT.Present)
ABSENT = CodedConcept.from_code(codes.SCT.Absent)
ANY_FINDING = CodedConcept("ANY_FINDING", CODING_SCHEME, "Any finding of the model")
"""The concept that is reported as absent for an image without findings."""

_PROCEDURES = {
    "CR": codes.cid100.XRUnspecifiedBodyRegion,
    "CT": codes.cid100.CTUnspecifiedBodyRegion,
    "DX": codes.cid100.XRUnspecifiedBodyRegion,
    "MR": codes.cid100.MRIUnspecifiedBodyRegion,
    "NM": codes.cid100.NMUnspecifiedBodyRegion,
    "PT": codes.cid100.PETUnspecifiedBodyRegion,
    "XA": codes.cid100.Angiography,
}
_CODE_LENGTH, _MEANING_LENGTH = 16, 64
_DIGEST_LENGTH = 15


def coding_scheme() -> CodingSchemeIdentificationItem:
    """Return the entry that declares the scheme 99NIGHTREAD in a report."""
    return CodingSchemeIdentificationItem(
        designator=CODING_SCHEME, name="nightread: labels of model bundles", responsible_organization="nightread"
    )


def label_code(label: str) -> CodedConcept:
    """Return the label of a bundle as a code.

    The code value is the label, or `#` and 15 hex digits of its SHA-256 if the label is not a valid Short String (VR
    SH). The meaning is the label, cut after 64 characters (VR LO).
    """
    shown = visible(label)
    fits = len(label) <= _CODE_LENGTH and label.isascii() and label.isprintable() and "\\" not in label
    digest = sha256(label.encode("utf-8", "backslashreplace")).hexdigest()[:_DIGEST_LENGTH]
    value = label if fits and label.strip() == label else f"#{digest}"
    meaning = shown.replace("\\", "/")[:_MEANING_LENGTH]
    return CodedConcept(value, CODING_SCHEME, meaning)


def probability_of(label: str) -> CodedConcept:
    """Return the concept of a label's score. Its name contains the label, since some viewers show nothing else."""
    named = label_code(label)
    digest = sha256(f"probability {label}".encode("utf-8", "backslashreplace")).hexdigest()[:_DIGEST_LENGTH]
    return CodedConcept(f"#{digest}", CODING_SCHEME, f"Probability of {named.meaning}"[:_MEANING_LENGTH])


@lru_cache(maxsize=1024)
def label_concept(bundle: ReportedBundle, label: str) -> CodedConcept:
    """Return the preferred code of a label: the first code that the bundle names, else the code of 99NIGHTREAD.

    The other codes of the label, including the code of 99NIGHTREAD, are listed as equivalent (PS3.3, section 8.9). All
    items of a report share the returned concept: do not change it.
    """
    own = label_code(label)
    named = [CodedConcept(code.value, code.scheme, code.meaning) for code in bundle.codes_of(label)]
    if not named:
        return own
    preferred, *equivalent = named
    preferred.EquivalentCodeSequence = [*equivalent, own]
    return preferred


def coded(code: Code) -> CodedConcept:
    """Return a code of the standard as an item of a sequence."""
    return CodedConcept.from_code(code)


def procedures(modalities: Iterable[str | None]) -> Iterator[CodedConcept]:
    """Yield the procedure codes of the modalities, without repetitions (DICOM PS3.16, CID 100)."""
    found = {_PROCEDURES.get(modality or "", codes.cid100.ImagingProcedure) for modality in modalities}
    for code in sorted(found, key=lambda code: (code.scheme_designator, code.value)):
        yield CodedConcept.from_code(code)
