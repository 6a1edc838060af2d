"""List the remarks: what a person should know about an image that has a result."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Self

DETAIL_LENGTH = 500


class Remark(StrEnum):
    """One word that the database stores beside a result, with the sentence that people read in `query`."""

    message: str

    def __new__(cls, value: str, message: str) -> Self:
        """Attach the sentence to the stored word."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.message = message
        return member

    VOI_NOT_USED = "voi_not_used", "The window or lookup table of the header cannot be used; the full range was used."
    PALETTE_MISSING = "palette_missing", "The header has no colour palette; the indices were used as grey values."
    NEAR_DOMAIN_EDGE = (
        "near_domain_edge",
        "The intensities of the image are slightly outside of the range of the training images.",
    )
    ANY_DOMAIN = "any_domain", "It was not checked whether the model was made for this image (--any-domain)."
    FRAMES_LEFT_OUT = "frames_left_out", "The pixel data hold more frames than could be analysed."
    FRAMES_COUNTED = "frames_counted", "NumberOfFrames is missing or wrong; the frames of the pixel data were counted."
    FRAME_GROUPS_DIFFER = "frame_groups_differ", "The header describes more or fewer frames than the pixel data hold."
    PIXELS_UNCLOSED = (
        "pixels_unclosed",
        "The pixel data do not end as DICOM requires; all frames are there, if the header is right.",
    )
    SYNTAX_CONTRADICTED = "syntax_contradicted", "The pixel data are compressed, which contradicts the transfer syntax."
    PHOTOMETRIC_ASSUMED = "photometric_assumed", "PhotometricInterpretation is missing; it was assumed from the header."
    BITS_WRONG = "bits_wrong", "The pixel data contradict what the header says of their bits or their sign."
    COLOUR_UNSURE = "colour_unsure", "The pixel data contradict PhotometricInterpretation; the colours were guessed."
    UID_WRONG = "uid_wrong", "A UID of the header has other characters than digits and dots, or is too long."
    PARTLY_USED = (
        "partly_used",
        "A part of the header that changes the picture is faulty or not supported; its usable part was used.",
    )


class Remarks:
    """Collects the remarks on one image, each at most once, in the order in which they were made."""

    __slots__ = ("_details",)

    def __init__(self) -> None:
        self._details: dict[Remark, str] = {}

    def add(self, remark: Remark, detail: str = "") -> None:
        """Add a remark. `detail` replaces its general sentence; the first detail of a remark is kept."""
        self._details.setdefault(remark, detail or remark.message)

    def plus(self, remark: Remark, detail: str = "") -> "Remarks":
        """Return a copy with one more remark, which concerns only one of several results of the image."""
        more = Remarks()
        more.add(remark, detail)
        return self.with_all(more)

    def with_all(self, more: "Remarks") -> "Remarks":
        """Return a copy of these remarks, followed by the remarks of `more`."""
        copy = Remarks()
        copy._details = dict(self._details)
        for remark, detail in more:
            copy.add(remark, detail)
        return copy

    def __contains__(self, remark: Remark) -> bool:
        """Return whether this remark was made."""
        return remark in self._details

    def __iter__(self) -> Iterator[tuple[Remark, str]]:
        """Yield each remark with its sentence."""
        return iter(self._details.items())

    def __bool__(self) -> bool:
        """Return whether there is any remark."""
        return bool(self._details)

    @property
    def words(self) -> str | None:
        """Return the stored words, separated by spaces; None if there is no remark."""
        return " ".join(self._details) or None

    @property
    def detail(self) -> str | None:
        """Return all sentences as text for the database; None if there is no remark."""
        return " ".join(self._details.values())[:DETAIL_LENGTH] or None
