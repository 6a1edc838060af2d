"""Define what the images of a bundle look like, and refuse images of another kind."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from imaging.kind import COLOUR, GREY, SCREEN_TYPES, SECONDARY_CAPTURES, ImageKind
from imaging.remarks import DETAIL_LENGTH
from models.input_range import InputRange
from nightread.errors import RejectImage
from nightread.reasons import Reason

LOCALIZER, SECONDARY_CAPTURE, QUALITY_CONTROL = ACCEPTABLE = ("localizer", "secondary_capture", "quality_control")
"""Kinds of images that are out of scope unless a bundle accepts them."""
_LOCALIZER_TYPES = frozenset(("LOCALIZER", "SCOUT", "TOPOGRAM"))
"""Values of ImageType that mark a localizer: LOCALIZER by PS3.3 C.8.2.1.1.1 and C.8.3.1.1.1, others by old devices."""

_LISTED = 4
"""How many allowed values a refusal names; `nightread models show` prints all of them."""
_LISTS = ("sop_classes", "modalities", "body_parts", "views", "photometric")
RANGES = ("rows", "columns")
FIELDS = (*_LISTS, *RANGES, "samples", "accepts", "dicom_only", "intensities")
_ATTRIBUTES = {
    "sop_classes": "SOPClassUID",
    "modalities": "Modality",
    "body_parts": "BodyPartExamined",
    "views": "ViewPosition",
    "photometric": "PhotometricInterpretation",
    "rows": "Rows",
    "columns": "Columns",
}
_VALUES: dict[str, Callable[[ImageKind], Any]] = {
    "sop_classes": lambda kind: kind.sop_class,
    "modalities": lambda kind: kind.modality,
    "body_parts": lambda kind: kind.body_part,
    "views": lambda kind: kind.view,
    "photometric": lambda kind: kind.photometric,
    "rows": lambda kind: kind.rows,
    "columns": lambda kind: kind.columns,
}


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The images that a bundle was made for. An empty field allows every value; docs/bundles.md explains each field."""

    sop_classes: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    photometric: tuple[str, ...] = ()
    samples: tuple[int, ...] = ()
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None
    """The lowest and the highest allowed number of columns. `rows` has the same for rows."""
    accepts: tuple[str, ...] = ()
    """The kinds in ACCEPTABLE that the bundle accepts."""
    dicom_only: bool = False
    """Whether PNG and JPEG files are outside the domain. If not, only their samples and size are checked."""
    intensities: InputRange | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a range whose ends are reversed, and for unknown kinds of images."""
        for name in RANGES:
            limits = getattr(self, name)
            if limits is not None and not 0 < limits[0] <= limits[1]:
                raise ValueError(f"domain: {name} must be a range such as 256..4096")
        if unknown := set(self.accepts) - set(ACCEPTABLE):
            shown = ", ".join(sorted(unknown))
            raise ValueError(f"domain: unknown value in `accepts`: {shown}. Allowed values: {', '.join(ACCEPTABLE)}")
        if set(self.samples) - {GREY, COLOUR}:
            raise ValueError("domain: samples must be 1 (grey) or 3 (colour)")

    def refusal(self, kind: ImageKind) -> RejectImage | None:
        """Return why an image of this kind is outside the domain, or None. The text quotes no value of the image."""
        if not kind.is_dicom:
            faults = ["it is not DICOM"] if self.dicom_only else list(self._faults(kind, RANGES))
        else:
            faults = list(self._faults(kind, (*_LISTS, *RANGES)))
        only_secondary_capture = faults == [self._wording("sop_classes")] and kind.sop_class in SECONDARY_CAPTURES
        if faults and not only_secondary_capture:
            detail = f"The model was not made for this image: {'; '.join(faults)}."
            return RejectImage(Reason.OUT_OF_DOMAIN, detail[:DETAIL_LENGTH])
        return excluded(kind, self)

    def _faults(self, kind: ImageKind, fields: tuple[str, ...]) -> Iterator[str]:
        """Yield one clause for each attribute that is outside the domain.

        A missing attribute is accepted, unless both SOPClassUID and Modality are missing.
        """
        if kind.is_dicom and kind.sop_class is None and kind.modality is None and (self.sop_classes or self.modalities):
            yield "it has neither SOPClassUID nor Modality"
        for name in fields:
            value, allowed = _VALUES[name](kind), getattr(self, name)
            if allowed and value is not None and not _fits(name, value, allowed):
                yield self._wording(name)
        if self.samples and kind.samples not in self.samples:
            yield "it is in colour" if kind.samples == COLOUR else "it is not in colour"

    def _wording(self, name: str) -> str:
        allowed = getattr(self, name)
        if name in RANGES:
            return f"{_ATTRIBUTES[name]} is not between {allowed[0]} and {allowed[1]}"
        values = [_named(value) if name == "sop_classes" else value for value in allowed[:_LISTED]]
        more = [f"one of {len(allowed) - _LISTED} more"] if len(allowed) > _LISTED else []
        return f"{_ATTRIBUTES[name]} is not {' or '.join([*values, *more])}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values for bundle.json. Fields that are empty, None or False are left out."""
        given = {name: getattr(self, name) for name in (*_LISTS, "samples", *RANGES, "accepts")}
        values: dict[str, Any] = {name: list(value) for name, value in given.items() if value}
        if self.dicom_only:
            values["dicom_only"] = True
        return values | ({"intensities": self.intensities.to_json()} if self.intensities else {})

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read the values that `to_json` returned. Raises KeyError, TypeError and ValueError for other values."""
        unknown = values.keys() - {*FIELDS}
        if unknown:
            raise ValueError(f"domain has unknown fields: {', '.join(sorted(unknown))}")
        for name in (*_LISTS, "accepts"):
            if not _is_list_of(values.get(name, []), str):
                raise TypeError(f"domain: {name} must be a list of strings")
        for name in (*RANGES, "samples"):
            if not _is_list_of(values.get(name, []), int):
                raise TypeError(f"domain: {name} must be a list of integers")
        if not isinstance(values.get("dicom_only", False), bool):
            raise TypeError("domain: dicom_only must be true or false")
        known: dict[str, Any] = {name: tuple(values.get(name, ())) for name in (*_LISTS, "samples", "accepts")}
        known |= {name: _range(name, values[name]) for name in RANGES if name in values}
        if "intensities" in values:
            known["intensities"] = InputRange.from_json(values["intensities"])
        return cls(**known, dicom_only=values.get("dicom_only", False))

    def __str__(self) -> str:
        """Return one line for people."""
        listed = {name: ", ".join(map(_named, getattr(self, name))) for name in _LISTS}
        parts = [f"{name.replace('_', ' ')} {values}" for name, values in listed.items() if values]
        if self.samples:
            parts.append(" or ".join("grey" if samples == GREY else "colour" for samples in self.samples))
        parts += [f"{name} {limits[0]} to {limits[1]}" for name in RANGES if (limits := getattr(self, name))]
        if self.accepts:
            parts.append(f"also {', '.join(kind.replace('_', ' ') for kind in self.accepts)}")
        if self.dicom_only:
            parts.append("DICOM only")
        if self.intensities:
            parts.append(f"intensities like those of {self.intensities.images:,} training images")
        return "; ".join(parts) or "every image"


def refusal(domain: Domain | None, kind: ImageKind) -> RejectImage | None:
    """Return why a bundle with this domain was not made for an image of this kind; None if it was."""
    return excluded(kind, None) if domain is None else domain.refusal(kind)


def excluded(kind: ImageKind, domain: Domain | None) -> RejectImage | None:
    """Return why an image is out of scope because this domain does not accept its kind; None if it is in scope.

    A bundle without a domain accepts secondary captures, because public training sets consist of them. It accepts no
    localizers, no quality-control images and no pictures of screens.
    """
    accepts = domain.accepts if domain else ()
    types = frozenset(value.strip().upper() for value in (kind.image_type or "").split("\\"))
    if kind.quality_control and QUALITY_CONTROL not in accepts:
        return RejectImage(Reason.QUALITY_CONTROL)
    if types & _LOCALIZER_TYPES and LOCALIZER not in accepts:
        return RejectImage(Reason.LOCALIZER)
    if SECONDARY_CAPTURE in accepts:
        return None
    is_listed = domain is None or kind.sop_class in domain.sop_classes
    if types & SCREEN_TYPES or (kind.sop_class in SECONDARY_CAPTURES and not is_listed):
        return RejectImage(Reason.SECONDARY_CAPTURE)
    return None


def _fits(name: str, value: Any, allowed: tuple[Any, ...]) -> bool:
    if name in RANGES:
        return bool(allowed[0] <= value <= allowed[1])
    return str(value).upper() in {entry.upper() for entry in allowed}


def _named(value: str) -> str:
    """Return the name of a SOP class with its UID; the value itself if it has no name or pydicom is not installed."""
    try:
        from pydicom.uid import UID_dictionary  # noqa: PLC0415 - slow to import, and absent without a worker
    except ModuleNotFoundError:
        return value
    entry = UID_dictionary.get(value)
    return f"{entry[0]} ({value})" if entry else value


def _is_list_of(values: object, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) and not isinstance(value, bool) for value in values)


def _range(name: str, values: list[int]) -> tuple[int, int]:
    if len(values) != 2:  # noqa: PLR2004 - lowest and highest
        raise ValueError(f"domain: {name} must have two numbers: the lowest and the highest")
    return values[0], values[1]
