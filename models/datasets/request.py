"""What a person asked for when naming data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from nightread.errors import UsageFault


@dataclass(frozen=True, kw_only=True)
class Request:
    """A reference taken apart, and the options beside it."""

    reference: str
    place: str
    """What follows the colon: mostly a path."""
    labels_file: Path | None = None
    seed: int = 0
    progress: Callable[[int, int], object] | None = None

    @property
    def path(self) -> Path:
        """`place` as a path that is there; raises UsageFault otherwise."""
        path = Path(self.place).expanduser()
        if not self.place or not path.exists():
            self.refuse("there is no such file or folder", "Check the path after the colon.")
        return path

    @property
    def folder(self) -> Path:
        """`place` as a folder that is there; raises UsageFault otherwise."""
        path = self.path
        if not path.is_dir():
            self.refuse("this is a file", "Name the folder that holds the images.")
        return path

    def refuse(self, what: str, remedy: str) -> NoReturn:
        """Raise UsageFault: which data, what is wrong with them, what to do."""
        raise UsageFault(f"data {self.reference}: {what}. {remedy}")
