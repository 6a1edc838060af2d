"""Read an image in a process that makes pictures, and refuse an image that must not be shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from api.original_files import NoOriginalError
from api.pictures.picture import AnyRequest, NoPictureError
from imaging import tags
from imaging.burned_in import why_withheld
from imaging.dicom_image import DicomImage
from imaging.limits import Limits
from imaging.read import read
from imaging.rendering import OutsideRegionError
from imaging.view import CT_WINDOWS, View
from nightread.errors import ImageError


def read_image(request: AnyRequest, data: bytes, limits: Limits) -> DicomImage:
    """Return the image. Raises NoPictureError if its pixels may show names, and ImageError."""
    image = read(data, limits=limits, accept_raster=True)
    if not request.show_burned_in and (why := why_withheld(image.elements)):
        raise NoPictureError(HTTPStatus.FORBIDDEN, why)
    return image


def require_frame(image: DicomImage, index: int) -> int:
    """Return the index of a frame, from 0. Raises NoPictureError if there is no such frame."""
    if index >= image.frame_count:
        count = "1 frame" if image.frame_count == 1 else f"{image.frame_count:,} frames"
        raise NoPictureError(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"There is no frame {index + 1}: the image has {count}, counted from 1."
        )
    return index


def view_of(image: DicomImage, view: View) -> View:
    """Return the view; the name of a CT window is replaced by center and width.

    Raises NoPictureError if a CT window is chosen for an image that is not CT and so has no Hounsfield units.
    """
    named = CT_WINDOWS.get(view.window) if isinstance(view.window, str) else None
    if named is None:
        return view
    modality = image.elements.text(tags.MODALITY) if image.elements is not None else None
    if modality != "CT":
        detail = f"The window {view.window} is for CT images: give center and width, `header` or `full`."
        raise NoPictureError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    return View(window=named, viewport=view.viewport)


@contextmanager
def reasons_in_words() -> Iterator[None]:
    """Turn every expected error of reading and rendering into a NoPictureError."""
    try:
        yield
    except NoOriginalError as error:
        raise NoPictureError(error.status, error.detail) from None
    except ImageError as error:
        detail = f"The image cannot be shown. {error.detail}"
        raise NoPictureError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, reason=error.reason.value) from None
    except OutsideRegionError:
        detail = "The region of the viewport lies outside of the image."
        raise NoPictureError(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from None
    except MemoryError:
        detail = "The image needs more memory than image_memory_bytes."
        raise NoPictureError(HTTPStatus.SERVICE_UNAVAILABLE, detail, reason="out_of_memory") from None
