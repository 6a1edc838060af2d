"""`nightread report` writes one self-contained file that names nobody, and sends it by a real mail server."""

import re
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import skip_reasons
from aiosmtpd.smtp import AuthResult
from click.testing import CliRunner, Result
from databases import NewSqlite
from mail_server import mail_server
from mixed_night import fill_mixed_night

from cli.main import cli
from nightread.errors import StopWork, UsageFault

NIGHT = "2026-11-05"


@pytest.fixture
def state(tmp_path: Path, new_sqlite: NewSqlite) -> Path:
    """A state folder with a mixed night of 200 images."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        fill_mixed_night(database, images=200, earlier=20)
    return tmp_path


def certify(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Make a certificate for localhost, let this process trust it, and return the context of the server."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip(skip_reasons.OPENSSL)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def report(state: Path, *arguments: str) -> Result:
    """Run the command for the mixed night."""
    options = ["--night", NIGHT, "--state", str(state)]
    return CliRunner().invoke(cli, ["report", *options, *arguments], env={"NIGHTREAD_TIME_ZONE": "UTC"})


def test_the_file_loads_nothing_and_names_nobody(state: Path, tmp_path: Path) -> None:
    """No address, no script, no UID and no path; a policy in the file forbids what a mistake might add."""
    result = report(state, "-o", str(tmp_path / "night.html"))

    assert result.exit_code == 0, result.output
    page = (tmp_path / "night.html").read_text()
    assert "Night of Thursday 5 November 2026" in page
    assert "Not for diagnosis." in page
    assert "1 study is incomplete: 4 images have not arrived." in page
    assert not re.search(r"(src|href)=|@import|url\(|<script", page)
    assert "1.2.826" not in page
    assert ".dcm" not in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


def test_identifiers_are_shown_on_request(state: Path) -> None:
    """The study that misses images, and the studies of the most suspicious images."""
    result = report(state, "-o", "-", "--with-identifiers")

    assert "1.2.826.0.1.3680043.10.999.2." in result.output
    assert ".dcm" not in result.output


def test_it_arrives_by_mail(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short text with the numbers, and the file; an address that the server refuses makes exit code 1."""
    with mail_server() as (port, received):
        set_server(monkeypatch, port, tls="none")
        result = report(state, "--send-to", "ops@hospital.example", "--send-to", "unknown@hospital.example")

    assert result.exit_code == 1
    assert "Sent to 1 address." in result.output
    assert "The mail server refused unknown@hospital.example." in result.output
    (message,) = received
    assert str(message["Subject"]).startswith("nightread, Night of Thursday 5 November 2026: 200 arrived, ")
    body = message.get_body(("plain",))
    assert body is not None
    assert "200 files arrived = " in body.get_content()
    (attached,) = message.iter_attachments()
    assert attached.get_filename() == "night-2026-11-05.html"
    assert "1.2.826" not in attached.get_content()


def test_it_is_sent_encrypted_and_with_a_login(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """STARTTLS against a certificate of the site's own authority, then the login."""
    logins = []

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        logins.append((data.login, data.password, session.ssl is not None))
        return AuthResult(success=True)

    context = certify(tmp_path, monkeypatch)
    with mail_server(tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True) as (
        port,
        received,
    ):
        set_server(monkeypatch, port, tls="starttls", user="night", password="secret")
        result = report(state, "--send-to", "ops@hospital.example", "--with-identifiers")

    assert result.exit_code == 0, result.output
    assert len(received) == 1
    assert logins == [(b"night", b"secret", True)]


def test_mail_never_falls_back_to_clear_text(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default demands STARTTLS: a server without it gets nothing."""
    with mail_server() as (port, received):
        set_server(monkeypatch, port, tls="starttls")
        result = report(state, "--send-to", "ops@hospital.example")

    assert isinstance(result.exception, StopWork)
    assert "did not accept the mail" in str(result.exception)
    assert received == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "Give -o FILE, or --send-to ADDRESS."),
        (("--send-to", "ops@hospital.example"), "set NIGHTREAD_SMTP_HOST and NIGHTREAD_SMTP_FROM"),
        (("--night", "x", "-o", "x.html"), "is not valid: give a date"),
        (("-o", "missing/night.html"), "Cannot write"),
    ],
)
def test_wrong_usage_is_one_sentence(state: Path, arguments: tuple[str, ...], problem: str) -> None:
    """Exit code 2 with what to do."""
    result = report(state, *arguments)

    assert isinstance(result.exception, UsageFault)
    assert problem in str(result.exception)


@pytest.mark.parametrize("address", ["ops", "Ops <ops@x.example>", "a@x.example\nBcc: b@x.example", "a b@x.example"])
def test_an_address_that_is_none_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """No header can be added by an address."""
    set_server(monkeypatch, 25, tls="none")
    result = report(state, "--send-to", address)

    assert isinstance(result.exception, UsageFault)
    assert "A mail address is not valid" in str(result.exception)


def set_server(monkeypatch: pytest.MonkeyPatch, port: int, *, tls: str, **login: str) -> None:
    """Set the mail server of the settings."""
    values = {"host": "localhost", "port": str(port), "tls": tls, "from": "night@hospital.example", **login}
    for name, value in values.items():
        monkeypatch.setenv(f"NIGHTREAD_SMTP_{name.upper()}", value)
