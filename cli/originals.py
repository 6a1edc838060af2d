"""Find the original file of an image and the bundle that analysed it, both unchanged since."""

from dataclasses import dataclass
from hashlib import sha256

from cli.inputs.existing_database import one_line_errors, open_existing_database
from db.queries.originals import Original, original
from db.tables import State
from models.bundle import Bundle, load_bundle
from models.catalogue import entries
from nightread.errors import UsageFault
from nightread.paths import root_path
from nightread.settings import Settings
from nightread.source_files import LargeFileError, NotRegularError, OutsideSourceError, read_source_file
from nightread.sources import SPOOLED_KINDS
from nightread.stores import STORES, open_store, store_of

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
    data = _retrieve(image, settings) if image.kind in STORES else _read_file(image, settings)
    if sha256(data).hexdigest() != image.sha256:
        raise UsageFault(
            f"The file of image {image.image_id} was changed after its analysis (other SHA-256); {_BY_FILE}"
        )
    return data


def _read_file(image: Original, settings: Settings) -> bytes:
    root = settings.roots.get(image.source) or root_path(image.root)
    try:
        return read_source_file(root, image.uri, max_bytes=settings.max_file_bytes)
    except FileNotFoundError as error:
        purged, moved = "was removed after its retention time (spool_keep_days)", "is no longer in its folder"
        where = purged if image.kind in SPOOLED_KINDS else moved
        raise UsageFault(f"The file of image {image.image_id} {where}; {_BY_FILE}") from error
    except OutsideSourceError as error:
        raise UsageFault(
            f"The file of image {image.image_id} is not read: a symbolic link leads out of its source folder."
        ) from error
    except (NotRegularError, LargeFileError, OSError, ValueError) as error:
        raise UsageFault(f"The file of image {image.image_id} cannot be read ({type(error).__name__}).") from error


def _retrieve(image: Original, settings: Settings) -> bytes:
    from nightread.instance import retrieve  # noqa: PLC0415 - only originals in stores need urllib3
    from nightread.web import WebError  # noqa: PLC0415

    try:
        site = open_store(store_of(settings, name=image.source, root=image.root))
        return retrieve(site, image.uri, max_bytes=settings.max_file_bytes)
    except WebError as error:
        raise UsageFault(f"The original of image {image.image_id} cannot be read: its store {error}.") from error


def _bundle(image: Original, settings: Settings) -> Bundle:
    for entry in entries(settings.bundle_folders):
        if entry.reference == image.bundle:
            bundle = load_bundle(entry.path)
            if bundle.digest == image.digest:
                return bundle
    raise UsageFault(
        f"Image {image.image_id} was analysed by {image.bundle} (digest {str(image.digest)[:12]}...), which was not "
        "found: copy its folder back to `bundles` in the state folder, or to a folder of NIGHTREAD_BUNDLE_DIRS."
    )
