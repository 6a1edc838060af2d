"""Send a report by mail (SMTP, RFC 5321), encrypted unless the settings say otherwise."""

import smtplib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parseaddr

from nightread.errors import StopWork, UsageFault
from nightread.hosts import is_loopback
from nightread.settings import Settings

_TIMEOUT_SECONDS = 30
_PORT, _TLS_PORT = 587, 465


@dataclass(frozen=True, kw_only=True, slots=True)
class MailReport:
    """A report for people: a few lines of text, and the whole as an attached HTML file."""

    subject: str
    text: str
    file_name: str
    html: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MailNote:
    """A short message for people, without an attachment."""

    subject: str
    text: str


def require_mail_settings(settings: Settings, addresses: Sequence[str]) -> None:
    """Raise UsageFault if mail cannot be sent to these addresses with these settings."""
    if settings.smtp_host is None or settings.smtp_from is None:
        raise UsageFault("Mail needs a server and a sender: set NIGHTREAD_SMTP_HOST and NIGHTREAD_SMTP_FROM.")
    for address in (*addresses, settings.smtp_from):
        name, plain = parseaddr(address)
        if name or plain != address or "@" not in plain or not plain.isprintable() or " " in plain:
            raise UsageFault("A mail address is not valid: give it without a name, such as night@hospital.example.")
    if settings.smtp_user and settings.smtp_password is None:
        raise UsageFault("A user name at the mail server needs a password: set NIGHTREAD_SMTP_PASSWORD.")
    if settings.smtp_user and settings.smtp_tls == "none" and not is_loopback(settings.smtp_host):
        raise UsageFault("The password would be sent unencrypted: set NIGHTREAD_SMTP_TLS to starttls or tls.")


def require_encryption(settings: Settings) -> None:
    """Raise UsageFault if mail would leave this machine unencrypted. Use it for mail with data of patients."""
    if settings.smtp_tls == "none" and not is_loopback(settings.smtp_host or ""):
        raise UsageFault(
            "Identifiers of patients would be sent unencrypted: set NIGHTREAD_SMTP_TLS to starttls or tls, or omit "
            "--with-identifiers."
        )


def send_mail(settings: Settings, addresses: Sequence[str], report: MailReport, *, now: datetime) -> list[str]:
    """Send the report once to all addresses. Returns the addresses that the server refused.

    Raises UsageFault for settings without a server, and StopWork if the server refuses the mail.
    """
    require_mail_settings(settings, addresses)
    message = _message(settings, addresses, report.subject, report.text, now)
    message.add_attachment(report.html.encode(), "text", "html", filename=report.file_name)
    return _send(settings, addresses, message)


def send_note(settings: Settings, addresses: Sequence[str], note: MailNote, *, now: datetime) -> list[str]:
    """Send the note once to all addresses, as `send_mail` does."""
    require_mail_settings(settings, addresses)
    return _send(settings, addresses, _message(settings, addresses, note.subject, note.text, now))


def _send(settings: Settings, addresses: Sequence[str], message: EmailMessage) -> list[str]:
    try:
        with mail_connection(settings) as server:
            refused: Mapping[str, object] = server.send_message(message, to_addrs=list(addresses))
    except smtplib.SMTPRecipientsRefused as error:
        return sorted(error.recipients)
    except (smtplib.SMTPException, OSError) as error:
        # The text of the error may quote the login.
        kind = f"code {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else type(error).__name__
        raise StopWork(
            f"The mail server {settings.smtp_host} did not accept the mail ({kind}): check the settings smtp_*."
        ) from None
    return sorted(refused)


def _message(settings: Settings, addresses: Sequence[str], subject: str, text: str, now: datetime) -> EmailMessage:
    sender = settings.smtp_from or ""
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = sender
    message["To"] = ", ".join(addresses)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: prevents out-of-office replies
    message.set_content(text)
    return message


@contextmanager
def mail_connection(settings: Settings) -> Iterator[smtplib.SMTP]:
    """Connect, encrypt and log in. With `starttls`, a server without encryption is an error."""
    host, trust = settings.smtp_host or "", ssl.create_default_context()
    port = settings.smtp_port or (_TLS_PORT if settings.smtp_tls == "tls" else _PORT)
    with (
        smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT_SECONDS, context=trust)
        if settings.smtp_tls == "tls"
        else smtplib.SMTP(host, port, timeout=_TIMEOUT_SECONDS) as server
    ):
        if settings.smtp_tls == "starttls":
            server.starttls(context=trust)
        if settings.smtp_user and settings.smtp_password is not None:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        yield server
