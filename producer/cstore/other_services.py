"""Refuse requests for other services, such as C-FIND, that come in a presentation context of C-STORE or C-ECHO."""

from collections.abc import Callable
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE

from producer.cstore.association import CStoreStatus

_COMPOSITE = (C_FIND, C_GET, C_MOVE)
_SOP_CLASS_NOT_SUPPORTED, _NO_SUCH_SOP_CLASS = 0x0122, 0x0118
"""Statuses with which requests for composite and for normalized services are refused (DICOM PS3.7, annex C)."""


def refuse_other_services(association: Association, on_refusal: Callable[[int], None]) -> None:
    """Make the association respond with a status to each request that is neither a valid C-STORE nor a valid C-ECHO.

    Otherwise pynetdicom ends the association, or sends no response, and the images after the request are lost.
    `on_refusal` is called with the status. A request without a message number cannot have a response. Presentation
    contexts of other services are already rejected when the association is negotiated.
    """
    serve = association._serve_request  # noqa: SLF001 - the only place through which all requests pass

    def serve_or_refuse(message: Any, context_id: int) -> None:
        is_request = message.MessageIDBeingRespondedTo is None and message.MessageID is not None
        is_served = isinstance(message, C_STORE | C_ECHO) and message.is_valid_request
        if is_served or not is_request or context_id not in association._accepted_cx:  # noqa: SLF001
            serve(message, context_id)
            return
        response = _refusal(message)
        on_refusal(response.Status)
        association.dimse.send_msg(response, context_id)

    association._serve_request = serve_or_refuse  # type: ignore[assignment, method-assign] # noqa: SLF001


def _refusal(request: Any) -> Any:
    response = type(request)()
    response.MessageID = response.MessageIDBeingRespondedTo = request.MessageID
    response.AffectedSOPClassUID = getattr(request, "RequestedSOPClassUID", None) or request.AffectedSOPClassUID
    if isinstance(request, C_STORE | C_ECHO):  # the request lacks its SOP Class UID or SOP Instance UID
        response.Status = CStoreStatus.CANNOT_UNDERSTAND
        response.AffectedSOPInstanceUID = getattr(request, "AffectedSOPInstanceUID", None)
    else:
        response.Status = _SOP_CLASS_NOT_SUPPORTED if isinstance(request, _COMPOSITE) else _NO_SUCH_SOP_CLASS
    return response
