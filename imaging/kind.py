"""Define what kind of image an object holds: the values that the domain of a bundle is compared with."""

from typing import NamedTuple

GREY, COLOUR = 1, 3


class ImageKind(NamedTuple):
    """What the header says about an image. A value is None if the header has none, or if there is no header."""

    is_dicom: bool = True
    """False for PNG and JPEG files, which have only samples, rows and columns."""
    sop_class: str | None = None
    modality: str | None = None
    image_type: str | None = None
    """All values of ImageType, with backslashes."""
    body_part: str | None = None
    view: str | None = None
    photometric: str | None = None
    samples: int = GREY
    """1 for a grey image, 3 for a coloured one; an image with a palette is coloured."""
    rows: int | None = None
    columns: int | None = None
    quality_control: bool = False
    """Quality Control Image (0028,0300) is YES: an image of a test object or phantom."""
