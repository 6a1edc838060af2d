"""Choose the default input of a network for a folder of files, by the size and the colours of the files."""

from collections.abc import Sequence

from imaging.spec import InputSpec, Intensity
from models.datasets.file_parts import LabelledFile

SIZE = 128
"""The height and width in pixels if the files differ in size or are larger than _LARGEST."""
_LARGEST = 256
"""The largest side that is kept, in pixels; a network for 2,000 x 2,000 pixels would be too slow to train."""


def dicom_spec(files: Sequence[LabelledFile]) -> InputSpec:
    """Return the default input for DICOM files: the window of the header, three channels if an image shows colours."""
    height, width = _size(files)
    return InputSpec(
        height=height, width=width, channels=_channels(files), intensity=Intensity(kind="voi"), aspect="pad"
    )


def image_spec(files: Sequence[LabelledFile]) -> InputSpec:
    """Return the default input for pictures: three channels if at least one picture shows colours."""
    height, width = _size(files)
    return InputSpec(height=height, width=width, channels=_channels(files), intensity=Intensity(kind="full"))


def _size(files: Sequence[LabelledFile]) -> tuple[int, int]:
    sizes = {file.info.size for file in files}
    only = next(iter(sizes)) if len(sizes) == 1 else None
    return only if only and max(only) <= _LARGEST else (SIZE, SIZE)


def _channels(files: Sequence[LabelledFile]) -> int:
    """Return 3 if an image shows colours. A grey picture that is stored with three equal channels counts as grey."""
    return max(file.info.kind.samples for file in files)
