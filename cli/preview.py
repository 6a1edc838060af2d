"""Define `nightread preview`: write the picture of an image."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.output.console import out
from cli.output.tables import NOT_FOR_DIAGNOSIS
from db import ledger
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.settings import Settings

if TYPE_CHECKING:  # `nightread --help` also runs on hosts without OpenCV
    from api.pictures.picture import Picture, PictureRequest

Value = TypeVar("Value")
_NO_FRAME = re.compile(r"There is no frame (?P<number>\d+): the image has (?P<count>.+), counted from 1\.")
"""Matches the message of api.pictures.reading about a missing frame."""
_JPEG_SUFFIXES = (".jpg", ".jpeg")


@click.command("preview")
@click.argument("image_id", type=click.IntRange(1, 2**63 - 1))
@click.option(
    "-o",
    "--out",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="PNG or .jpg file [image-ID.png in the current folder].",
)
@click.option("--frame", type=click.IntRange(min=0), default=0, help="Frame number; the first frame is 0 [0].")
@click.option(
    "--window",
    default="header",
    help="CENTER,WIDTH or CENTER,WIDTH,FUNCTION, `header`, `full`, or for CT `lung`, `bone`, `brain`, `soft-tissue`.",
)
@click.option("--viewport", help="WIDTH,HEIGHT or WIDTH,HEIGHT,LEFT,TOP,WIDTH,HEIGHT, as in DICOMweb.")
@click.option("--show-burned-in", is_flag=True, default=None, help="Also show pixels that may hold a name.")
@state_options
def preview_command(image_id: int, path: Path | None, frame: int, window: str, viewport: str | None, **of: Any) -> None:
    """Write the picture of an image, as the API shows it.

    The window of the header is applied. Pixels that may hold a name are hidden, unless you allow them. The audit table
    records who made the picture.

    \b
    Examples: nightread preview 4711
              nightread preview 4711 --window lung --frame 12 -o slice.jpg
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**of)
    path = path or Path(f"image-{image_id}.png")
    picture = _picture(settings, image_id, lambda place: _request(place, settings, path, frame, window, viewport))
    try:
        path.write_bytes(picture.content)
    except OSError as error:
        raise UsageFault(
            f"{path} cannot be written ({type(error).__name__}): choose another file with --out."
        ) from error
    out.print(f"{path}: frame {frame} of {picture.details['frame'].partition('/')[2]}", markup=False, soft_wrap=True)
    if settings.not_for_diagnosis:
        out.print(NOT_FOR_DIAGNOSIS, style="italic")


def _request(
    place: Any, settings: Settings, path: Path, frame: int, window: str, viewport: str | None
) -> "PictureRequest":
    from api.pictures.parameters import viewport_of, window_of  # noqa: PLC0415
    from api.pictures.picture import JPEG, PNG, PictureRequest  # noqa: PLC0415
    from imaging.view import View  # noqa: PLC0415

    return PictureRequest(
        place=place,
        frame=frame,
        view=View(
            window=_parsed(window_of, window), viewport=None if viewport is None else _parsed(viewport_of, viewport)
        ),
        media_type=JPEG if path.suffix.lower() in _JPEG_SUFFIXES else PNG,
        show_burned_in=settings.show_burned_in,
    )


def _parsed(parse: Callable[[str], Value], text: str) -> Value:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageFault(f"--{error}") from None


def _counted_from_0(detail: str) -> str:
    """Return the message; if it is about a missing frame, count from 0 as --frame does."""
    missing = _NO_FRAME.fullmatch(detail)
    if missing is None:
        return detail
    return f"There is no frame {int(missing['number']) - 1}: the image has {missing['count']}, counted from 0."


def _picture(settings: Settings, image_id: int, request_of: "Callable[[Any], PictureRequest]") -> "Picture":
    from api.pictures.finding import find_image, showable_place  # noqa: PLC0415
    from api.pictures.picture import NoPictureError  # noqa: PLC0415
    from api.pictures.pictures import Pictures  # noqa: PLC0415

    with open_existing_database(settings) as database, one_line_errors():
        pictures = Pictures(settings, database)
        try:
            request = request_of(showable_place(find_image(database, image_id), settings))
            picture = pictures.make(request).result()
        except NoPictureError as error:
            raise UsageFault(_counted_from_0(error.detail)) from None
        else:
            ledger.note_read(database, "image", image_id, actor=user_name(), now=utc_now())
            return picture
        finally:
            pictures.close()
