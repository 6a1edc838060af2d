"""Errors, named by the fate of the image they speak about."""

from nightread.reasons import Fault, Reason


class ImageError(Exception):
    """An image cannot go on. `detail` is our own sentence: it never quotes a file, a header or another exception."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail or reason.sentence}")
        self.reason = reason
        self.detail = detail or reason.sentence


class RejectImage(ImageError):  # noqa: N818 - the fate is the name
    """The image is at fault: it ends as rejected and is not retried by itself."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        if reason.fault is Fault.FAILED:
            raise ValueError(f"{reason} is no reason to reject an image")
        super().__init__(reason, detail)


class RetryImage(ImageError):  # noqa: N818
    """The world is at fault: the image is tried again later, and fails with this reason when the tries are used up."""


class StopWork(Exception):  # noqa: N818
    """We are at fault (bad model, wrong schema, full disk): the process refuses work; the message says what to do."""


class UsageFault(Exception):  # noqa: N818
    """The person asked for something that cannot be; shown as one line, exit code 2."""
