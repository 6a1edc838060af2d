"""Check connections to other systems: stores, destinations, mail server, and our own receivers."""

import logging
import smtplib
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

from cli.checks.certificates import check_server
from cli.checks.check import Check
from nightread.clock import utc_now
from nightread.settings import Settings
from nightread.sources import Destination, OrthancSource, ReceiverSource, StoreDestination, StowDestination
from nightread.stores import Store, open_store

_SECONDS = 10.0
"""Longest time to wait for one answer."""
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - addresses to listen on
_NO_SEARCH = (400, 404, 405, 406, 415, 501)
"""HTTP statuses with which a server refuses a search that it does not offer. It may accept reports all the same."""
_SILENCED = ("pynetdicom", "urllib3")


def check_peers(settings: Settings) -> Iterator[Check]:
    """Contact each system once, by C-ECHO, an HTTP request or a login.

    Nothing is stored, except a test object at destinations with `test_object`.
    """
    with _silenced():
        for source in settings.sources:
            if isinstance(source, ReceiverSource):
                yield _receiver(source)
            elif isinstance(source, Store):
                yield (check := _store(source))
                yield from _certificate(check, source)
        for destination in settings.destinations:
            if isinstance(destination, StoreDestination):
                yield (check := _pacs(destination))
            else:
                yield (check := _stow(destination))
                yield from _certificate(check, destination)
            if destination.test_object and check.result == "ok":
                yield _test_object(destination)
        if settings.smtp_host is not None:
            yield _mail(settings)


def _certificate(check: Check, server: Store | StowDestination) -> Iterator[Check]:
    """Check the certificate of a server that answers."""
    return check_server(server.name, server.url, server.tls, utc_now()) if check.result == "ok" else iter(())


def _receiver(source: ReceiverSource) -> Check:
    """Call our own receiver as its first listed caller would."""
    name, address = f"receiver {source.name}", _EVERYWHERE.get(source.address, source.address)
    try:
        socket.create_connection((address, source.port), timeout=_SECONDS).close()
    except OSError as error:
        remedy = "Start it (`nightread receive`, `nightread up`), and see its log."
        return Check.fail(name, f"does not listen on {address} port {source.port} ({type(error).__name__})", remedy)
    if source.tls is not None:
        return Check.ok(name, "listens, with TLS")
    from delivery.reasons import NotDelivered  # noqa: PLC0415 - an optional extra
    from delivery.verify import echo  # noqa: PLC0415

    caller = next((each.ae_title for each in source.callers if each.ae_title), "NIGHTREAD")
    try:
        echo(
            StoreDestination(
                name=source.name,
                ae_title=source.ae_title,
                address=address,
                port=source.port,
                calling_ae_title=caller,
                timeout_seconds=_SECONDS,
                objects=("report",),
                burned_in=False,
                test_object=False,
                studies="all",
            )
        )
    except NotDelivered:
        if source.callers:
            return Check.ok(name, "listens, and refuses this host, which is not among its `callers`")
        remedy = "Another program may use this port: find out which program it is, and read its log."
        return Check.fail(name, f"listens, and does not answer C-ECHO as {source.ae_title}", remedy)
    return Check.ok(name, f"answers C-ECHO as {source.ae_title}")


def _store(source: Store) -> Check:
    from nightread.web import WebError  # noqa: PLC0415 - an optional extra

    name = f"store {source.name}"
    try:
        client = open_store(source, timeout_seconds=min(_SECONDS, source.timeout_seconds))
        if isinstance(source, OrthancSource):
            facts = client.json("system")
            release = str(facts.get("Version", ""))[:20] if isinstance(facts, dict) else ""
            if not release:
                remedy = 'Use kind = "dicomweb" for other stores, and the root of Orthanc\'s REST API as `url`.'
                return Check.fail(name, "answers, but is not an Orthanc server", remedy)
            return Check.ok(name, f"answers: Orthanc {release}")
        client.json("studies", {"limit": "1"})
    except WebError as error:
        return _web_failure(name, "store", error)
    return Check.ok(name, "answers a search")


def _stow(destination: StowDestination) -> Check:
    from nightread.web import HttpClient, WebError  # noqa: PLC0415 - an optional extra

    name, seconds = f"destination {destination.name}", min(_SECONDS, destination.timeout_seconds)
    try:
        client = HttpClient(destination.url, login=destination.login, tls=destination.tls, timeout_seconds=seconds)
        client.json("studies", {"limit": "1"})
    except WebError as error:
        if error.status in _NO_SEARCH:
            return Check.ok(name, f"answers (it offers no search: status {error.status})")
        return _web_failure(name, "destination", error)
    return Check.ok(name, "answers a search")


def _pacs(destination: StoreDestination) -> Check:
    from delivery.reasons import NotDelivered  # noqa: PLC0415 - an optional extra
    from delivery.verify import verify  # noqa: PLC0415

    name, seconds = f"destination {destination.name}", min(_SECONDS, destination.timeout_seconds)
    try:
        refused = verify(destination.model_copy(update={"timeout_seconds": seconds}))
    except NotDelivered as error:
        remedy = (
            f"Register nightread there as {destination.calling_ae_title}, with the address of this host, and check "
            "`ae_title`, `address`, `port` and `tls`."
        )
        return Check.fail(name, error.detail, remedy)
    if refused:
        remedy = "Let it accept these SOP classes (docs/conformance.md), or list fewer `objects`."
        return Check.fail(name, f"answers, and does not accept: {', '.join(refused)}", remedy)
    return Check.ok(name, f"answers, and accepts {', '.join(destination.objects)}")


def _test_object(destination: Destination) -> Check:
    """Store the test object, and say what the destination answered."""
    from delivery.reasons import NotDelivered  # noqa: PLC0415 - an optional extra
    from delivery.send import LazySender  # noqa: PLC0415
    from delivery.trial_object import trial_object  # noqa: PLC0415

    name, seconds = f"test object to {destination.name}", min(_SECONDS, destination.timeout_seconds)
    instance = trial_object(destination)
    if instance is None:
        return Check.ok(name, "not sent: there is no test object for heat maps")
    with closing(LazySender(destination.model_copy(update={"timeout_seconds": seconds}))) as sender:
        try:
            warning = sender.send(instance)
        except NotDelivered as error:
            remedy = "Let it store objects of nightread (docs/conformance.md), or set `test_object = false`."
            return Check.fail(name, f"not stored: {error.detail}", remedy)
    return Check.ok(name, f"stored, with a warning: {warning}" if warning else "stored, status 0000H or 200")


def _mail(settings: Settings) -> Check:
    from delivery.mail import mail_connection  # noqa: PLC0415 - only with --peers

    name = "mail server"
    try:
        with mail_connection(settings) as server:
            server.noop()
    except (smtplib.SMTPException, OSError) as error:
        # The text of the error may quote the login.
        kind = f"code {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else type(error).__name__
        return Check.fail(name, f"{settings.smtp_host} cannot be used ({kind})", "Check the settings smtp_*.")
    return Check.ok(name, f"{settings.smtp_host} answers")


def _web_failure(name: str, kind: str, error: Exception) -> Check:
    found, _, remedy = str(error).partition(": ")
    default = f"Check whether it runs, then check `url`, `login` and `tls` of the {kind}."
    return Check.fail(name, found, f"{remedy[:1].upper()}{remedy[1:]}." if remedy else default)


@contextmanager
def _silenced() -> Iterator[None]:
    """Silence libraries whose log lines hold header values; the checks say what is wrong."""
    loggers = [logging.getLogger(name) for name in _SILENCED]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
