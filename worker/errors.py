"""Errors that end a whole batch, whichever of its images it was at."""


class BatchError(Exception):
    """No image is at fault: none of the batch gets an outcome from us, and the ledger gives all of them out again."""


class BatchTakenError(BatchError):
    """The batch's lease ran out and others have its images: what we have of it is of no use."""


class NetworkBrokenError(BatchError):
    """The network, which ran when it was loaded, failed: this process is of no use until it has been replaced."""
