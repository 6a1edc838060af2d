"""Reports by STOW-RS (DICOM PS3.18, section 10.5)."""

from http import HTTPStatus

import requests
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import NewConnectionError

from delivery.reasons import DeliveryReason, NotDelivered
from delivery.store_scu import warning_of
from nightread.sources import Login, StowDestination

_SILENT = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
_BUSY = (HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INSUFFICIENT_STORAGE)
_UNSUPPORTED = (HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


class Stow:
    """One HTTP session, which follows no redirection and takes login and proxy from nowhere but the settings."""

    def __init__(self, destination: StowDestination) -> None:
        """Connects to nothing yet."""
        self._session = _session(destination)
        self._client = DICOMwebClient(
            destination.url, session=self._session, timeout=destination.timeout_seconds, permissive_uid=True
        )
        self._client.set_http_retry_params(retry=False)

    def send(self, report: Dataset) -> str | None:
        """As delivery.send.ReportSender says."""
        try:
            answer = self._client.store_instances([report])
        except requests.HTTPError as error:
            return _complain(error.response, str(report.SOPInstanceUID))
        except requests.exceptions.SSLError:
            raise NotDelivered(DeliveryReason.REFUSED, "One of us does not trust the other's certificate.") from None
        except requests.TooManyRedirects:
            raise NotDelivered(
                DeliveryReason.REFUSED, "The destination sends us elsewhere: give that address."
            ) from None
        except requests.ConnectionError as error:
            raise NotDelivered(_why_broken(error)) from None
        except (requests.RequestException, OSError):
            raise NotDelivered(DeliveryReason.NO_ANSWER) from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise NotDelivered(
                DeliveryReason.NO_ANSWER, "The destination answered what makes no sense: is that its address?"
            ) from None
        return _said_of(answer, str(report.SOPInstanceUID))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _session(destination: StowDestination) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    session.auth = _auth(destination.login)
    if destination.tls is not None:
        tls = destination.tls
        session.verify = str(tls.ca) if tls.ca else True
        if tls.certificate:
            session.cert = (str(tls.certificate), str(tls.key)) if tls.key else str(tls.certificate)
    return session


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _auth(login: Login | None) -> AuthBase | None:
    if login is None:
        return None
    if login.bearer is not None:
        return _Bearer(login.bearer.get_secret_value())
    password = login.password.get_secret_value() if login.password else ""
    return HTTPBasicAuth((login.user or "").encode(), password.encode())


def _why_broken(error: requests.ConnectionError) -> DeliveryReason:
    """A connection that never was took nothing; one that broke may have."""
    cause = getattr(error.args[0], "reason", None) if error.args else None
    never = isinstance(error, requests.ConnectTimeout) or isinstance(cause, NewConnectionError)
    return DeliveryReason.UNREACHABLE if never else DeliveryReason.NO_ANSWER


def _complain(answer: requests.Response, sop_instance_uid: str) -> str | None:
    status = answer.status_code
    said = f"The destination answered with status {status}."
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
        raise NotDelivered(DeliveryReason.REFUSED, said)
    if status in _UNSUPPORTED:
        raise NotDelivered(DeliveryReason.NOT_SUPPORTED, said)
    if status in _SILENT:
        raise NotDelivered(DeliveryReason.NO_ANSWER, said)
    if status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise NotDelivered(DeliveryReason.BUSY, said)
    _said_of(_as_dataset(answer), sop_instance_uid)
    raise NotDelivered(DeliveryReason.NOT_UNDERSTOOD, said)


def _as_dataset(answer: requests.Response) -> Dataset:
    try:
        return Dataset.from_json(answer.json())
    except (ValueError, TypeError, KeyError, AttributeError):
        return Dataset()


def _said_of(answer: Dataset, sop_instance_uid: str) -> str | None:
    """What the destination warned of (PS3.18, section 10.5.3). Raises NotDelivered for a report that it failed."""
    for item in answer.get("FailedSOPSequence", ()):
        if item.get("ReferencedSOPInstanceUID", sop_instance_uid) == sop_instance_uid:
            warning_of(int(item.get("FailureReason", 0xC000)))
    for item in answer.get("ReferencedSOPSequence", ()):
        if item.get("ReferencedSOPInstanceUID") == sop_instance_uid and "WarningReason" in item:
            return f"The destination answered with status {int(item.WarningReason):04X}H."
    return None
