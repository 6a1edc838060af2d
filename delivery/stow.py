"""Send reports by STOW-RS (DICOM PS3.18, section 10.5)."""

from contextlib import suppress
from http import HTTPStatus
from uuid import uuid4

from pydicom.dataset import Dataset

from delivery.reasons import DeliveryReason, NotDelivered
from delivery.report import as_file
from delivery.store_response import require_stored, response_dataset
from nightread.errors import StopWork
from nightread.sources import StowDestination
from nightread.web import HttpResponse, RefusedError, UnavailableError, UnreachableError, WebError, Website

_SILENT = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
_BUSY = (HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INSUFFICIENT_STORAGE)
_UNSUPPORTED = (HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
_ACCEPTED = "application/dicom+json, application/dicom+xml;q=0.5, */*;q=0.1"
_NONSENSE = "The destination answered what makes no sense: is that its address?"


class Stow:
    """One web server, which is told login and certificate of the settings and no others."""

    def __init__(self, destination: StowDestination) -> None:
        """Connects to nothing yet. Raises StopWork for certificates that cannot be read."""
        try:
            self._site = Website(
                destination.url,
                login=destination.login,
                tls=destination.tls,
                timeout_seconds=destination.timeout_seconds,
            )
        except RefusedError:
            raise StopWork("The certificate files of a destination cannot be read: correct its `tls`.") from None

    def send(self, report: Dataset) -> str | None:
        """As delivery.send.ReportSender says."""
        boundary = uuid4().hex
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary="{boundary}"',
            "Accept": _ACCEPTED,
        }
        try:
            response = self._site.post("studies", _multipart(report, boundary), headers)
        except UnreachableError:
            raise NotDelivered(DeliveryReason.UNREACHABLE) from None
        except RefusedError:
            raise NotDelivered(DeliveryReason.REFUSED, "One of us does not trust the other's certificate.") from None
        except UnavailableError:
            raise NotDelivered(DeliveryReason.NO_ANSWER) from None
        except WebError:
            raise NotDelivered(DeliveryReason.NO_ANSWER, _NONSENSE) from None
        return _outcome(response, str(report.SOPInstanceUID))

    def close(self) -> None:
        """Close the connections."""
        self._site.close()


def _multipart(report: Dataset, boundary: str) -> bytes:
    """A message with the report as its one part (RFC 2387; DICOM PS3.18, section 8.6.1.2)."""
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join((head, as_file(report), f"\r\n--{boundary}--\r\n".encode()))


def _outcome(response: HttpResponse, sop_instance_uid: str) -> str | None:
    """None or a warning for a report that is stored. Raises NotDelivered for any other."""
    status = response.status
    said = f"The destination answered with status {status}."
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        try:
            dataset = response_dataset(response)
        except ValueError:
            raise NotDelivered(DeliveryReason.NO_ANSWER, _NONSENSE) from None
        return require_stored(dataset, sop_instance_uid)
    if status < HTTPStatus.BAD_REQUEST:
        raise NotDelivered(DeliveryReason.REFUSED, "The destination sends us elsewhere: give that address.")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
        raise NotDelivered(DeliveryReason.REFUSED, said)
    if status in _UNSUPPORTED:
        raise NotDelivered(DeliveryReason.NOT_SUPPORTED, said)
    if status in _SILENT:
        raise NotDelivered(DeliveryReason.NO_ANSWER, said)
    if status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise NotDelivered(DeliveryReason.BUSY, said)
    with suppress(ValueError):
        require_stored(response_dataset(response), sop_instance_uid)
    raise NotDelivered(DeliveryReason.NOT_UNDERSTOOD, said)
