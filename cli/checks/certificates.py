"""Check that TLS certificates and keys are readable, belong together, and are valid today and for the next weeks."""

import base64
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cli.checks.check import Check
from nightread.settings import Settings
from nightread.sources import Tls

_SOON = timedelta(days=30)
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_CONTEXT_0, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18
_LONG = 0x80
_HTTPS, _SECONDS = 443, 10.0
_CENTURY = 50
"""A UTCTime has two digits for its year. Years below this number are in this century (RFC 5280, section 4.1.2.5.1)."""


def check_certificates(settings: Settings, now: datetime) -> Iterator[Check]:
    """Check the files of each `tls` in the settings."""
    for entry in (*settings.sources, *settings.destinations):
        if tls := getattr(entry, "tls", None):
            yield from _check(f"TLS of {entry.name}", tls, now)
    if settings.api_tls:
        yield from _check("TLS of the API", settings.api_tls, now)


def check_server(name: str, url: str, tls: Tls | None, now: datetime) -> Iterator[Check]:
    """Warn if the certificate of an https server expires soon. The requests of cli.checks.peers find other problems."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return
    context = ssl.create_default_context(cafile=tls.ca if tls else None)
    if tls is not None and tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or _HTTPS), timeout=_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as connection,
        ):
            der = connection.getpeercert(binary_form=True)
    except OSError:  # ssl.SSLError is an OSError
        return
    period = valid_period(der or b"")
    if period is not None and period[1] - now < _SOON:
        remedy = "Ask its administrator to renew it: from that day on nightread refuses the connection."
        yield Check.warn(f"TLS of {name}", f"its certificate expires on {period[1]:%Y-%m-%d}", remedy)


def _check(name: str, tls: Tls, now: datetime) -> Iterator[Check]:
    for path in (tls.ca, tls.certificate, tls.key):
        try:
            if path is not None:
                path.read_bytes()
        except OSError as error:
            remedy = "Correct the path in `tls`, or let the user of nightread read the file."
            yield Check.fail(name, f"{path} cannot be read ({type(error).__name__})", remedy)
            return
    if tls.certificate is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, password=_no_password)
        except (ssl.SSLError, ValueError):
            remedy = (
                "Put the certificate first, and its chain after it, into the file of `certificate`. Put its key, "
                "without a password, into the file of `key`."
            )
            yield Check.fail(name, f"{tls.certificate} and its key do not belong together, or are no PEM files", remedy)
            return
    if tls.certificate is not None:
        yield _validity(name, tls.certificate, now)
    if tls.ca is not None:
        yield _validity(name, tls.ca, now, one_is_enough=True)


def _no_password() -> str:
    """Return no password: without this function, OpenSSL would ask on the terminal."""
    return ""


def _validity(name: str, path: Path, now: datetime, *, one_is_enough: bool = False) -> Check:
    """Check the dates of the certificates in a file.

    With `one_is_enough`, only the certificate that expires last is checked. Files of authorities are checked like this.
    """
    periods = [period for pem in _PEM.findall(path.read_bytes()) if (period := valid_period(base64.b64decode(pem)))]
    if not periods:
        return Check.fail(name, f"{path} has no certificate", "Give a PEM file with BEGIN CERTIFICATE.")
    if one_is_enough:
        periods = [max(periods, key=lambda period: period[1])]
    begins, ends = max(begin for begin, _ in periods), min(end for _, end in periods)
    if ends <= now:
        return Check.fail(name, f"{path} expired on {ends:%Y-%m-%d}", "Renew it: peers refuse the connection.")
    if begins > now:
        remedy = "Wait until then, or set the clock of this host."
        return Check.fail(name, f"{path} is valid only from {begins:%Y-%m-%d}", remedy)
    if ends - now < _SOON:
        remedy = "Renew it now: from that day on peers refuse the connection."
        return Check.warn(name, f"{path} expires on {ends:%Y-%m-%d}", remedy)
    return Check.ok(name, f"{path} is valid until {ends:%Y-%m-%d}")


def valid_period(der: bytes) -> tuple[datetime, datetime] | None:
    """Return the first and last moment of a certificate's validity (RFC 5280, section 4.1); None if it is unreadable.

    The ssl module returns these times only for certificates of authorities.
    """
    try:
        _, certificate, _ = _element(der)
        _, to_be_signed, _ = _element(certificate)
        tag, _, rest = _element(to_be_signed)
        if tag == _CONTEXT_0:  # the version, which may be missing, is followed by the serial number
            _, _, rest = _element(rest)
        for _ in ("signature algorithm", "issuer"):
            _, _, rest = _element(rest)
        _, validity, _ = _element(rest)
        begin_tag, begin, rest = _element(validity)
        end_tag, end, _ = _element(rest)
        return _time(begin_tag, begin), _time(end_tag, end)
    except (IndexError, ValueError):
        return None


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and content of the first DER element, and the data after it. Raises IndexError, ValueError."""
    tag, length, start = data[0], data[1], 2
    if length & _LONG:
        count = length & ~_LONG
        length, start = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
    if start + length > len(data):
        raise ValueError("the element is cut off")
    return tag, data[start : start + length], data[start + length :]


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("20" if int(text[:2]) < _CENTURY else "19") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
