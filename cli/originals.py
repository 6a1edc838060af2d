"""Find the original file of an image and the bundle that analysed it; neither may have changed since."""

from dataclasses import dataclass

from api.original_files import NoOriginalError
from api.originals import OriginalReader, place_of
from cli.inputs.existing_database import one_line_errors, open_existing_database
from db.queries.originals import Original, original
from db.tables import State
from models.bundle import Bundle
from models.catalogue import bundle_of_result
from nightread.errors import UsageFault
from nightread.settings import Settings

_BY_FILE = "to explain a copy of it: `nightread explain FILE --model NAME`."


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The bytes that were analysed, the bundle that analysed them, and the label that it gave."""

    data: bytes
    bundle: Bundle
    label: str | None


def find_original(settings: Settings, image_id: int) -> Found:
    """Find the original file and the bundle.

    Raises UsageFault if one of them is missing or changed, or if the image has no result.
    """
    with open_existing_database(settings) as database, one_line_errors():
        image = original(database, image_id)
    if image is None:
        raise UsageFault(f"There is no image {image_id} in the database: `nightread query` lists the images.")
    _require_result(image)
    return Found(data=_read(image, settings), bundle=_bundle(image, settings), label=image.label)


def _require_result(image: Original) -> None:
    if image.duplicate_of is not None:
        raise UsageFault(
            f"Image {image.image_id} is a copy of image {image.duplicate_of}: "
            f"run `nightread explain {image.duplicate_of}`."
        )
    if image.state != State.DONE or image.bundle is None:
        why = f" ({image.reason})" if image.reason else ""
        raise UsageFault(f"Image {image.image_id} has no result to explain: its state is {image.state}{why}.")


def _read(image: Original, settings: Settings) -> bytes:
    try:
        return OriginalReader(settings).read(place_of(image, settings))
    except NoOriginalError as error:
        raise UsageFault(f"{error.detail.removesuffix('.')}; {_BY_FILE}") from None


def _bundle(image: Original, settings: Settings) -> Bundle:
    found = bundle_of_result(str(image.bundle), str(image.digest), settings.bundle_folders)
    if found is not None:
        return found
    raise UsageFault(
        f"Image {image.image_id} was analysed by {image.bundle} (digest {str(image.digest)[:12]}...), which was not "
        "found: copy its folder back to `bundles` in the state folder, or to a folder of NIGHTREAD_BUNDLE_DIRS."
    )
