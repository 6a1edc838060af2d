"""Define pictures, the requests for them, and the error for a picture that cannot be shown."""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

from api.original_files import OriginalPlace
from imaging.limits import Limits
from imaging.view import PLAIN_VIEW, View

PNG, JPEG = MEDIA_TYPES = ("image/png", "image/jpeg")
DEFAULT_QUALITY = 90
"""Quality of a JPEG if the request does not choose it."""


class NoPictureError(Exception):
    """The picture cannot be shown. `detail` is a sentence without patient data; `reason` is the value of a Reason."""

    def __init__(self, status: HTTPStatus, detail: str, *, reason: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """An encoded picture."""

    content: bytes
    media_type: str
    details: dict[str, str] = field(default_factory=dict)
    """Facts about the picture by name, such as `frame` (`3/12`), `range`, `method` and `evidence`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureRequest:
    """A request for one picture of one original. The API sends it to the process that renders."""

    place: OriginalPlace
    view: View = PLAIN_VIEW
    frame: int | Literal["first", "middle"] = "first"
    """The number of the frame, from 0, or `first` or `middle`."""
    media_type: str = PNG
    quality: int = DEFAULT_QUALITY
    show_burned_in: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class HeatMapRequest:
    """A request for the heat map of one label of one original."""

    place: OriginalPlace
    bundle: str
    """The model, as NAME@VERSION."""
    digest: str
    label: str
    view: View = PLAIN_VIEW
    frame: int | None = None
    """The number of the frame, from 0; None chooses the frame with the highest score."""
    overlay: bool = False
    """Whether the heat is drawn over the picture; otherwise the heat map is a transparent layer."""
    show_burned_in: bool = False


AnyRequest = PictureRequest | HeatMapRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessSettings:
    """The settings for a process that makes pictures. They contain no password."""

    limits: Limits
    seconds: float
    """Time limit for one picture. If a picture takes longer, the process ends."""
    memory_bytes: int
    """Memory limit for one picture."""
    bundle_folders: tuple[str, ...] = ()
    idle_seconds: float = 300.0
    """A process without requests ends after this time."""
