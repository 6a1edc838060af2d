"""Define the options with which a data set is opened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from nightread.errors import UsageFault


@dataclass(frozen=True, kw_only=True)
class DatasetRequest:
    """A reference `KIND:PATH`, split into its parts, with the options of the user."""

    reference: str
    place: str
    """The text after the colon, usually a path."""
    labels_file: Path | None = None
    seed: int = 0
    progress: Callable[[int, int], object] | None = None
    """A function that is called with (done, total) files; None to report no progress."""

    @property
    def path(self) -> Path:
        """Return `place` as a path. Raises UsageFault if it does not exist."""
        path = Path(self.place).expanduser()
        if not self.place or not path.exists():
            self.refuse("no such file or folder", "Check the path after the colon.")
        return path

    @property
    def folder(self) -> Path:
        """Return `place` as a path. Raises UsageFault if it is not an existing folder."""
        path = self.path
        if not path.is_dir():
            self.refuse("this is a file", "Name the folder that contains the images.")
        return path

    def refuse(self, problem: str, remedy: str) -> NoReturn:
        """Raise UsageFault with the reference, the problem and the remedy."""
        raise UsageFault(f"data {self.reference}: {problem}. {remedy}")
