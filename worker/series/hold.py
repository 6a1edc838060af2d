"""Define the error of a slice that waits for its series."""

from nightread.errors import ImageError
from nightread.reasons import Reason


class HoldSlice(ImageError):  # noqa: N818 - named by what happens to the image
    """The slice waits until its series is put in order."""

    def __init__(self) -> None:
        super().__init__(Reason.AWAITING_SERIES)
