"""Tell the parent of the worker processes which bundle they loaded for `--model`, through shared memory."""

import mmap

_BYTES = 256
"""Size of the memory: more than the longest `NAME@VERSION` that the database stores (db.tables.MODEL_LENGTH)."""


class ReportedModel:
    """Shared memory with one `NAME@VERSION`. The parent creates it before it forks, and the processes write to it.

    The parent cannot find out itself what `--model NAME` means: a newer version may have been imported after its
    processes loaded theirs.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _BYTES)

    def write(self, reference: str) -> None:
        """Store the reference of the loaded bundle; the last process that writes wins."""
        self._memory[:] = reference.encode()[:_BYTES].ljust(_BYTES, b"\0")

    def read(self) -> str | None:
        """Return the reference that a process stored last, or None if none did."""
        return self._memory[:].rstrip(b"\0").decode(errors="replace") or None
