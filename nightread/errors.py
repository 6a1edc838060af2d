"""Define the errors, each named by what happens to the image or to the process."""

from nightread.reasons import Fault, Reason


class ImageError(Exception):
    """An image cannot be analysed. `detail` is a message of nightread: it never quotes a file, header or exception."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail or reason.message}")
        self.reason = reason
        self.detail = detail or reason.message


class RejectImage(ImageError):  # noqa: N818 - named by what happens to the image
    """The image is defective or out of scope: it becomes `rejected` and is not retried automatically."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        if reason.fault is Fault.FAILED:
            raise ValueError(f"{reason} cannot be used to reject an image: it is not a property of the image")
        super().__init__(reason, detail)


class RetryImage(ImageError):  # noqa: N818
    """A temporary error: the image is analysed again later, and fails with this reason when no attempts are left."""


class StopWork(Exception):  # noqa: N818
    """The installation has an error (bad model, wrong schema, full disk) and the process stops.

    The message says what to do.
    """


class UsageFault(Exception):  # noqa: N818
    """A user gave wrong arguments. The command prints the message in one line and exits with code 2."""
