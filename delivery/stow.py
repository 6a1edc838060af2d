"""Send reports by STOW-RS (DICOM PS3.18, section 10.5)."""

from contextlib import suppress
from http import HTTPStatus
from uuid import uuid4

from pydicom.dataset import Dataset

from delivery.reasons import DeliveryReason, NotDelivered, unreadable_certificates
from delivery.report import file_bytes
from delivery.store_response import require_stored, response_dataset
from nightread.sources import StowDestination
from nightread.web import HttpClient, HttpResponse, RefusedError, UnavailableError, UnreachableError, WebError

_SILENT = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
_BUSY = (HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INSUFFICIENT_STORAGE)
_UNSUPPORTED = (HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
_ACCEPTED = "application/dicom+json, application/dicom+xml;q=0.5, */*;q=0.1"
_INVALID = "The destination returned an invalid response. Check its `url`."


class Stow:
    """A client of one web server. It uses only the login and the certificates of the settings."""

    def __init__(self, destination: StowDestination) -> None:
        """Prepare the client, which connects at the first report. Raises NotDelivered for unreadable certificates."""
        try:
            self._client = HttpClient(
                destination.url,
                login=destination.login,
                tls=destination.tls,
                timeout_seconds=destination.timeout_seconds,
            )
        except RefusedError as error:
            raise unreadable_certificates(destination.name, type(error.__context__).__name__) from None

    def send(self, report: Dataset) -> str | None:
        """Send the report in one STOW-RS request (PS3.18, 10.5). Returns and raises what ReportSender.send does."""
        boundary = uuid4().hex
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary="{boundary}"',
            "Accept": _ACCEPTED,
        }
        try:
            response = self._client.post("studies", _multipart(report, boundary), headers)
        except UnreachableError:
            raise NotDelivered(DeliveryReason.UNREACHABLE) from None
        except RefusedError:
            raise NotDelivered(DeliveryReason.REFUSED, "A certificate is not trusted. Correct `tls`.") from None
        except UnavailableError:
            raise NotDelivered(DeliveryReason.NO_ANSWER) from None
        except WebError:
            raise NotDelivered(DeliveryReason.NO_ANSWER, _INVALID) from None
        return _outcome(response, str(report.SOPInstanceUID))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _multipart(report: Dataset, boundary: str) -> bytes:
    """Encode a multipart message whose only part is the report (RFC 2387; DICOM PS3.18, section 8.6.1.2)."""
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join((head, file_bytes(report), f"\r\n--{boundary}--\r\n".encode()))


def _outcome(response: HttpResponse, sop_instance_uid: str) -> str | None:
    """Return None or a warning if the report was stored. Raises NotDelivered if it was not."""
    status = response.status
    message = f"The destination returned status {status}."
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        try:
            return require_stored(response_dataset(response), sop_instance_uid)
        except ValueError:
            raise NotDelivered(DeliveryReason.NO_ANSWER, _INVALID) from None
    if status < HTTPStatus.BAD_REQUEST:
        raise NotDelivered(DeliveryReason.REFUSED, "The destination redirects to another address. Correct its `url`.")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
        raise NotDelivered(DeliveryReason.REFUSED, message)
    if status in _UNSUPPORTED:
        raise NotDelivered(DeliveryReason.NOT_SUPPORTED, message)
    if status in _SILENT:
        raise NotDelivered(DeliveryReason.NO_ANSWER, message)
    if status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise NotDelivered(DeliveryReason.BUSY, message)
    with suppress(ValueError):
        require_stored(response_dataset(response), sop_instance_uid)
    raise NotDelivered(DeliveryReason.NOT_UNDERSTOOD, message)
