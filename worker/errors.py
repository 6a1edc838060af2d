"""Define the errors that end a whole batch instead of one image."""


class BatchError(Exception):
    """An error of the whole batch. This process records no outcome, and all images of the batch are analysed again."""


class BatchTakenError(BatchError):
    """The lease of the batch expired, and other processes have its images. This process discards its results."""


class NetworkBrokenError(BatchError):
    """The network failed although its warm-up succeeded, for example by a GPU error. The process must be replaced."""
