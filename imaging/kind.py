"""Define the kind of an image: the values that are compared with the domain of a bundle."""

from typing import NamedTuple

GREY, COLOUR = 1, 3
SECONDARY_CAPTURES = tuple(f"1.2.840.10008.5.1.4.1.1.7{suffix}" for suffix in ("", ".1", ".2", ".3", ".4"))
"""The SOP classes of secondary captures (PS3.4 B.5)."""
SCREEN_TYPES = frozenset(("SCREEN SAVE", "DOSE", "DOSE_INFO", "DOSE REPORT", "CT_SOM5 PROT", "CSA REPORT"))
"""Values of ImageType with which devices mark pictures of their screen, such as dose reports, in any SOP class."""


class ImageKind(NamedTuple):
    """What the header says about an image. A field is None if there is no header, or it has no value for the field."""

    is_dicom: bool = True
    """False for PNG and JPEG files, which have only samples, rows and columns."""
    sop_class: str | None = None
    modality: str | None = None
    image_type: str | None = None
    """All values of ImageType, separated by backslashes."""
    body_part: str | None = None
    view: str | None = None
    photometric: str | None = None
    samples: int = GREY
    """1 for a grey image, 3 for a coloured one; an image with a palette is coloured."""
    rows: int | None = None
    columns: int | None = None
    quality_control: bool = False
    """Whether Quality Control Image (0028,0300) is YES: an image of a test object or phantom."""
