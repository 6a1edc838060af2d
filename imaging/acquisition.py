"""Read the date, view, device and pixel spacing of an image, and the patient's sex and age band, from a header."""

import re
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from imaging import tags
from imaging.elements import text_of
from imaging.facts import CODE_LENGTH, STATION_LENGTH, TEXT_LENGTH, storable_text

ACQUISITION_TAGS = (
    tags.STUDY_DATE,
    tags.VIEW_POSITION,
    tags.IMAGE_LATERALITY,
    tags.LATERALITY,
    tags.MANUFACTURER,
    tags.STATION_NAME,
    tags.PATIENT_SEX,
    tags.PATIENT_AGE,
    tags.PATIENT_BIRTH_DATE,
    tags.MANUFACTURER_MODEL_NAME,
    tags.PHOTOMETRIC_INTERPRETATION,
    tags.PIXEL_SPACING,
    tags.IMAGER_PIXEL_SPACING,
    tags.NOMINAL_SCANNED_PIXEL_SPACING,
)
_DATE_LENGTH = 8
_LATERALITIES = frozenset("RLBU")
_SEXES = frozenset("MFO")
_AGE = re.compile(r"(\d{1,3})([DWMY])", re.ASCII)
_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
_SPACINGS = (1e-4, 100.0)
"""Plausible spacings in millimetres; a value outside of this range is an error of the writer."""
_BAND, _OLDEST_BAND, _OLDEST = 10, 90, 130


class Acquisition(NamedTuple):
    """The values of one header. A field is None if the header has no usable value for it."""

    study_date: str | None
    view_position: str | None
    laterality: str | None
    manufacturer: str | None
    station_name: str | None
    patient_sex: str | None
    age_band: str | None
    device_model: str | None
    photometric: str | None
    pixel_spacing: float | None


def acquisition_of(values: Sequence[bytes], character_sets: bytes) -> Acquisition:
    """Convert the values of ACQUISITION_TAGS, given in this order.

    `character_sets` is the value of SpecificCharacterSet. The birth date is used only to compute the age band (PS3.3
    C.7.1.1, C.7.2.2).
    """
    study, view, image_laterality, laterality, manufacturer, station, sex, age, birth, model, photometric, *spacings = (
        text_of(value, character_sets) for value in values
    )
    study_date = _date(study)
    return Acquisition(
        study_date=study_date,
        view_position=storable_text(view, CODE_LENGTH),
        laterality=_one_of(_LATERALITIES, image_laterality) or _one_of(_LATERALITIES, laterality),
        manufacturer=storable_text(manufacturer, TEXT_LENGTH),
        station_name=storable_text(station, STATION_LENGTH),
        patient_sex=_one_of(_SEXES, sex),
        age_band=_age_band(age, _date(birth), study_date),
        device_model=storable_text(model, TEXT_LENGTH),
        photometric=storable_text(photometric, CODE_LENGTH),
        pixel_spacing=next((spacing for text in spacings if (spacing := _spacing(text)) is not None), None),
    )


def _one_of(values: frozenset[str], text: str | None) -> str | None:
    upper = (text or "").upper()
    return upper if upper in values else None


def _spacing(text: str | None) -> float | None:
    """Return the distance between rows, the first of the two numbers (PS3.3 10.7.1.3); None if it is unusable."""
    try:
        spacing = float((text or "").partition("\\")[0])
    except ValueError:
        return None
    return spacing if _SPACINGS[0] <= spacing <= _SPACINGS[1] else None


def _date(text: str | None) -> str | None:
    """Return a date of eight digits, without the dots of the ACR-NEMA format; None for other text."""
    digits = (text or "").replace(".", "")
    return digits if len(digits) == _DATE_LENGTH and digits.isascii() and digits.isdigit() else None


def _age_band(age: str | None, birth: str | None, study: str | None) -> str | None:
    """Return the age band by PatientAge (PS3.5 section 6.2, AS), else by birth and study dates; None if unknown."""
    years = _written_years(age)
    if years is None:
        years = _years_between(birth, study)
    if years is None or not 0 <= years <= _OLDEST:
        return None
    if years >= _OLDEST_BAND:
        return f"{_OLDEST_BAND}+"
    lowest = years // _BAND * _BAND
    return f"{lowest}-{lowest + _BAND - 1}"


def _written_years(age: str | None) -> int | None:
    match = _AGE.fullmatch((age or "").upper())
    return int(int(match[1]) / _PER_YEAR[match[2]]) if match else None


def _years_between(birth: str | None, study: str | None) -> int | None:
    try:
        born, seen = date.fromisoformat(birth or ""), date.fromisoformat(study or "")
    except ValueError:
        return None
    return seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))
