"""Decide by the rules of `imaging` whether the pixels of an original may show names."""

from pydicom.dataset import Dataset

from imaging.withheld_kinds import why_withheld_by_header


def may_show_names(header: Dataset) -> bool:
    """Return whether an image with this header may show names, so that its pictures are withheld."""

    def text(keyword: str) -> str:
        value = header.get(keyword)
        if value is None or isinstance(value, str):
            return value or ""
        return "\\".join(map(str, value))

    why = why_withheld_by_header(
        burned_in=text("BurnedInAnnotation"),
        image_type=text("ImageType"),
        conversion_type=text("ConversionType"),
        sop_class=text("SOPClassUID"),
        modality=text("Modality"),
    )
    return why is not None
