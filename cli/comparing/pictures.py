"""Read the originals of images with different labels (flips), and draw them with the heat maps of both models."""

from collections.abc import Iterator, Sequence

from rich.progress import track

from api.original_files import NoOriginalError
from api.originals import OriginalReader, place_of
from cli.output.console import err
from db.engine import Database
from db.queries.originals import original
from imaging.limits import Limits
from models.bundle import Bundle
from models.catalogue import bundle_of_result
from models.comparison.pictures import FlipPainter, FlipPicture
from models.comparison.values import Flip, NetworkLabels
from nightread.errors import StopWork
from nightread.settings import Settings


def flip_pictures(
    database: Database, settings: Settings, networks: tuple[NetworkLabels, NetworkLabels], flips: Sequence[Flip]
) -> dict[int, FlipPicture]:
    """Return the pictures of these flips by image id. If the original is missing, the reason replaces the picture."""
    if not flips:
        return {}
    first, second = (_bundle(network, settings) for network in networks)
    limits = Limits(
        file_bytes=settings.max_file_bytes,
        frame_pixels=settings.max_frame_pixels,
        object_bytes=settings.max_object_bytes,
    )
    painter, reader = FlipPainter((first, second), limits), OriginalReader(settings)
    return {flip.image_id: _draw(database, settings, painter, reader, flip) for flip in _with_progress(flips)}


def _draw(
    database: Database, settings: Settings, painter: FlipPainter, reader: OriginalReader, flip: Flip
) -> FlipPicture:
    image = original(database, flip.image_id)
    if image is None:
        return FlipPicture(why_none="The image is no longer in the database.")
    try:
        data = reader.read(place_of(image, settings))
    except NoOriginalError as error:
        return FlipPicture(why_none=error.detail)
    return painter.draw(flip, data)


def _bundle(network: NetworkLabels, settings: Settings) -> Bundle | None:
    try:
        found = bundle_of_result(network.reference, network.digest, settings.bundle_folders)
    except StopWork as error:
        err.print(str(error), markup=False, style="yellow")
        return None
    if found is None:
        err.print(f"No heat maps of {network.reference}: its folder is not on this host.", style="yellow")
    return found


def _with_progress(flips: Sequence[Flip]) -> Iterator[Flip]:
    yield from track(flips, "drawing", console=err, disable=not err.is_terminal)
