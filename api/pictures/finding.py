"""Find the image and the result for a requested picture."""

from http import HTTPStatus

from api.original_files import NoOriginalError, OriginalPlace
from api.originals import place_of
from api.pictures.picture import NoPictureError, PictureRequest
from db.engine import Database
from db.queries.originals import Original, original, suspicious_frame
from db.tables import State
from imaging.view import View, Viewport
from imaging.withheld_kinds import why_withheld_by_class
from nightread.settings import Settings

THUMBNAIL_SIDE = 256


def find_image(database: Database, image_id: int) -> Original:
    """Return the row of an image. Raises NoPictureError if there is no such image."""
    image = original(database, image_id)
    if image is None:
        raise NoPictureError(HTTPStatus.NOT_FOUND, f"There is no image {image_id}.")
    return image


def showable_place(image: Original, settings: Settings) -> OriginalPlace:
    """Return where the original is.

    Raises NoPictureError if there is none, or if images of its SOP class or modality may not be shown.
    """
    why = why_withheld_by_class(image.sop_class_uid, image.modality)
    if why and not settings.show_burned_in:
        raise NoPictureError(HTTPStatus.FORBIDDEN, why)
    try:
        return place_of(image, settings)
    except NoOriginalError as error:
        raise NoPictureError(error.status, error.detail) from None


def result_of(database: Database, image: Original) -> Original:
    """Return the row that has the result: the image itself or, for a duplicate, the earlier image with the same bytes.

    Raises NoPictureError if there is no result to explain.
    """
    analysed = image if image.duplicate_of is None else find_image(database, image.duplicate_of)
    if analysed.state != State.DONE or analysed.bundle is None or analysed.digest is None:
        why = f" ({analysed.reason})" if analysed.reason else ""
        detail = f"Image {image.image_id} has no result to explain: its state is {analysed.state}{why}."
        raise NoPictureError(HTTPStatus.CONFLICT, detail)
    return analysed


def label_to_explain(image: Original, label: str | None) -> str:
    """Return `label`, or the finding if `label` is None. Raises NoPictureError if the result is not a finding."""
    if label is not None:
        return label
    if image.label is None or image.label == image.normal_label:
        detail = "The result is not a finding, so there is nothing to explain: name a label with `label`."
        raise NoPictureError(HTTPStatus.CONFLICT, detail)
    return image.label


def has_finding(database: Database, image_id: int) -> bool:
    """Return whether the result of the image is a finding. Its heat map then needs no parameter `label`."""
    try:
        label_to_explain(result_of(database, find_image(database, image_id)), None)
    except NoPictureError:
        return False
    return True


def thumbnail_request(
    database: Database, image: Original, settings: Settings, *, side: int = THUMBNAIL_SIDE, frame: int | None = None
) -> PictureRequest:
    """Return the request for a small picture of `frame`, counted from 0.

    If `frame` is None, the frame with the finding is shown, or the middle frame if no frame has a finding. Raises
    NoPictureError.
    """
    place = showable_place(image, settings)
    chosen = suspicious_frame(database, image) if frame is None else frame
    return PictureRequest(
        place=place,
        view=View(viewport=Viewport(width=side, height=side)),
        frame="middle" if chosen is None else chosen,
        show_burned_in=settings.show_burned_in,
    )
