"""Define a picture, what is requested of it, and the error if there is none."""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

from api.original_files import OriginalPlace
from imaging.limits import Limits
from imaging.view import PLAIN_VIEW, View

PNG, JPEG = MEDIA_TYPES = ("image/png", "image/jpeg")
DEFAULT_QUALITY = 90
"""Quality of JPEG if the request names none."""


class NoPictureError(Exception):
    """There is no picture. `detail` is a sentence without patient data; `reason` is a word of nightread.reasons."""

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
    """What a person should know of it, by name: `frame` such as `3/12`, `window`, `label`, `evidence`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureRequest:
    """A request for one picture of one original. It is sent to the process that renders."""

    place: OriginalPlace
    view: View = PLAIN_VIEW
    frame: int | Literal["first", "middle"] = "first"
    """The number of the frame, from 0, or which one to choose."""
    media_type: str = PNG
    quality: int = DEFAULT_QUALITY
    show_burned_in: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class HeatMapRequest:
    """A request for the heat map of one label of one original."""

    place: OriginalPlace
    bundle: str
    """NAME@VERSION."""
    digest: str
    label: str
    view: View = PLAIN_VIEW
    frame: int | None = None
    """The number of the frame, from 0; None: the frame with the highest score."""
    overlay: bool = False
    """Whether the heat is drawn over the picture; else it is a transparent layer."""
    show_burned_in: bool = False


AnyRequest = PictureRequest | HeatMapRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessSettings:
    """The settings that a process which makes pictures needs; no password is among them."""

    limits: Limits
    seconds: float
    """Time for one picture, after which the process ends."""
    memory_bytes: int
    """Memory for one picture."""
    bundle_folders: tuple[str, ...] = ()
    idle_seconds: float = 300.0
    """A process without requests ends after this time."""
