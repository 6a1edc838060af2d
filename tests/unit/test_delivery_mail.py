"""Mail: which settings are refused, which server is called, and what the messages say of themselves."""

import smtplib
import ssl
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

import pytest
from mail_server import mail_server

from delivery.mail import (
    MailNote,
    MailReport,
    mail_connection,
    require_encryption,
    require_mail_settings,
    send_mail,
    send_note,
)
from nightread.errors import UsageFault
from nightread.settings import Settings

SENDER = "night@hospital.example"
READER = "ops@hospital.example"
NOW = datetime(2026, 11, 5, 7, 30, tzinfo=UTC)
NOTE = MailNote(subject="Dispatch is paused", text="Since 03:00.")


def settings_with(**fields: Any) -> Settings:
    """Return settings of a mail server in the same hospital, which needs no login."""
    return Settings(**{"smtp_host": "mail.hospital.example", "smtp_from": SENDER, **fields})


@pytest.mark.parametrize("missing", ["smtp_host", "smtp_from"])
def test_server_and_sender_are_needed(missing: str) -> None:
    """One of them alone is not enough."""
    with pytest.raises(UsageFault, match="set NIGHTREAD_SMTP_HOST and NIGHTREAD_SMTP_FROM"):
        require_mail_settings(settings_with(**{missing: None}), [READER])


@pytest.mark.parametrize("address", ["Ops <ops@x.example>", "ops@x.example, b@x.example", "ops", "a b@x.example", ""])
def test_an_address_has_no_name_and_no_space(address: str) -> None:
    """This is so for each reader, and for the sender."""
    with pytest.raises(UsageFault, match="A mail address is not valid"):
        require_mail_settings(settings_with(), [READER, address])
    with pytest.raises(UsageFault, match="A mail address is not valid"):
        require_mail_settings(settings_with(smtp_from=address), [READER])


def test_an_address_has_no_character_that_cannot_be_printed() -> None:
    """The parser of addresses accepts this one."""
    with pytest.raises(UsageFault, match="A mail address is not valid"):
        require_mail_settings(settings_with(), ["ops\x7f@hospital.example"])


def test_a_user_name_needs_a_password() -> None:
    """Without one, the server would be called without a login."""
    with pytest.raises(UsageFault, match="set NIGHTREAD_SMTP_PASSWORD"):
        require_mail_settings(settings_with(smtp_user="night"), [READER])


@pytest.mark.parametrize(
    ("host", "tls", "user", "refused"),
    [
        ("mail.hospital.example", "none", "night", True),
        ("mail.hospital.example", "starttls", "night", False),
        ("mail.hospital.example", "tls", "night", False),
        ("127.0.0.1", "none", "night", False),
        ("mail.hospital.example", "none", None, False),
    ],
)
def test_a_password_is_sent_encrypted_or_stays_on_this_machine(
    host: str, tls: str, user: str | None, refused: bool
) -> None:
    """Mail without a login may be sent as the settings say."""
    settings = settings_with(smtp_host=host, smtp_tls=tls, smtp_user=user, smtp_password=user and "secret")
    if not refused:
        require_mail_settings(settings, [READER])
        return
    with pytest.raises(UsageFault, match="The password would be sent unencrypted"):
        require_mail_settings(settings, [READER])


@pytest.mark.parametrize(
    ("host", "tls", "refused"),
    [
        ("mail.hospital.example", "none", True),
        ("mail.hospital.example", "starttls", False),
        ("127.0.0.1", "none", False),
    ],
)
def test_identifiers_are_sent_encrypted_or_stay_on_this_machine(host: str, tls: str, refused: bool) -> None:
    """This concerns mail with data of patients."""
    settings = settings_with(smtp_host=host, smtp_tls=tls)
    if not refused:
        require_encryption(settings)
        return
    with pytest.raises(UsageFault, match="Identifiers of patients would be sent unencrypted"):
        require_encryption(settings)


@pytest.mark.parametrize(
    ("fields", "port"),
    [
        ({"smtp_tls": "starttls"}, 587),
        ({"smtp_tls": "none"}, 587),
        ({"smtp_tls": "tls"}, 465),
        ({"smtp_tls": "tls", "smtp_port": 2465}, 2465),
        ({"smtp_tls": "none", "smtp_port": 25}, 25),
    ],
)
def test_the_port_follows_the_encryption(monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], port: int) -> None:
    """587 is the port of mail submission, 465 the one with TLS from the beginning (RFC 8314, section 3)."""
    called = []

    def refuse(_server: object, host: str, port: int, seconds: float) -> None:
        called.append((host, port, seconds))
        raise ConnectionRefusedError

    monkeypatch.setattr(smtplib.SMTP, "_get_socket", refuse)
    monkeypatch.setattr(smtplib.SMTP_SSL, "_get_socket", refuse)
    with pytest.raises(ConnectionRefusedError), mail_connection(settings_with(**fields)):
        pass
    assert called == [("mail.hospital.example", port, 30)]


class FakeServer:
    """A mail server that notes what is asked of it."""

    calls: ClassVar[list[Any]] = []

    def __init__(self, *_: object, **__: object) -> None:
        self.calls.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def starttls(self, *, context: object) -> None:
        """Note the encryption, which checks certificates."""
        assert isinstance(context, ssl.SSLContext)
        self.calls.append("starttls")

    def login(self, user: str, password: str) -> None:
        """Note the login."""
        self.calls.append((user, password))


@pytest.mark.parametrize(
    ("fields", "calls"),
    [
        ({"smtp_tls": "starttls"}, ["starttls"]),
        ({"smtp_tls": "starttls", "smtp_user": "night", "smtp_password": "s"}, ["starttls", ("night", "s")]),
        ({"smtp_tls": "tls", "smtp_user": "night", "smtp_password": "s"}, [("night", "s")]),
        ({"smtp_tls": "tls", "smtp_user": "night"}, []),
        ({"smtp_tls": "none", "smtp_password": "s"}, []),
    ],
)
def test_a_login_needs_a_name_and_a_password_and_follows_the_encryption(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], calls: list[Any]
) -> None:
    """A password alone is nobody's."""
    monkeypatch.setattr(smtplib, "SMTP", FakeServer)
    monkeypatch.setattr(smtplib, "SMTP_SSL", FakeServer)
    with mail_connection(settings_with(**fields)):
        assert FakeServer.calls == calls


def test_a_note_says_who_sent_it_when_and_that_a_program_did() -> None:
    """The id belongs to the sender's domain, and no out-of-office reply comes (RFC 3834)."""
    with mail_server() as (port, received):
        settings = settings_with(smtp_host="127.0.0.1", smtp_port=port, smtp_tls="none")
        assert send_note(settings, [READER, "unknown@hospital.example"], NOTE, now=NOW) == ["unknown@hospital.example"]

    (message,) = received
    assert {name: message[name] for name in ("Subject", "From", "To", "Auto-Submitted")} == {
        "Subject": "Dispatch is paused",
        "From": SENDER,
        "To": f"{READER}, unknown@hospital.example",
        "Auto-Submitted": "auto-generated",
    }
    assert message["Date"].datetime == NOW
    assert str(message["Message-ID"]).endswith("@hospital.example>")
    assert message.get_content().rstrip() == "Since 03:00."


def test_if_the_server_refuses_all_addresses_they_are_returned() -> None:
    """Then nothing is sent, and that is no fault of the settings."""
    with mail_server() as (port, received):
        settings = settings_with(smtp_host="127.0.0.1", smtp_port=port, smtp_tls="none")
        addresses = ["unknown@b.example", "unknown@a.example"]
        assert send_note(settings, addresses, NOTE, now=NOW) == ["unknown@a.example", "unknown@b.example"]
    assert received == []


def test_a_report_has_its_file() -> None:
    """The file is HTML with the given name."""
    report = MailReport(subject="Night", text="200 files", file_name="night.html", html="<p>ä</p>")
    with mail_server() as (port, received):
        settings = settings_with(smtp_host="127.0.0.1", smtp_port=port, smtp_tls="none")
        assert send_mail(settings, [READER], report, now=NOW) == []

    (attached,) = received[0].iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("night.html", "text/html")
    assert attached.get_payload(decode=True) == "<p>ä</p>".encode()
