"""TLS, with certificates made here and DCMTK's client."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import skip_reasons
from databases import NewSqlite
from peers import storescu
from reception import receiving
from scans import phantom

from db.engine import Database

pytestmark = pytest.mark.servers


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A certificate that signs itself, and its key."""

    certificate: Path
    key: Path

    @property
    def dcmtk(self) -> tuple[str, str, str, str]:
        """DCMTK's options to show it."""
        return "+tls", str(self.key), str(self.certificate), "-pw"


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Identity, Identity, Identity]:
    """Ours, a known caller's and a stranger's."""
    folder = tmp_path_factory.mktemp("certificates")
    ours, known, stranger = (_made(folder, name) for name in ("ours", "known", "stranger"))
    return ours, known, stranger


@pytest.fixture
def database(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[Database]:
    """TLS ends before the ledger: one kind is enough."""
    with new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database:
        yield database


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """One good scan."""
    path = tmp_path / "scan.dcm"
    path.write_bytes(phantom(1))
    return path


def test_dcmtk_sends_over_tls(tmp_path: Path, database: Database, scan: Path, identities: tuple[Identity, ...]) -> None:
    """It verifies our certificate; who speaks plain TCP gets nowhere."""
    ours, known, _ = identities
    tls = {"certificate": ours.certificate, "key": ours.key}
    with receiving(tmp_path, database, tls=tls) as reception:
        sent = storescu(reception.port, *known.dcmtk, "+cf", str(ours.certificate), scan)
        assert sent.returncode == 0, sent.stderr
        assert storescu(reception.port, scan).returncode != 0
        assert len(reception.files) == len(reception.arrivals) == 1


def test_callers_must_show_a_certificate_of_ours(
    tmp_path: Path, database: Database, scan: Path, identities: tuple[Identity, ...]
) -> None:
    """With `require_client`: the known one is served, the stranger is not, and nobody without one."""
    ours, known, stranger = identities
    tls = {"certificate": ours.certificate, "key": ours.key, "ca": known.certificate, "require_client": True}
    with receiving(tmp_path, database, tls=tls) as reception:
        trust = ("+cf", str(ours.certificate))
        assert storescu(reception.port, *known.dcmtk, *trust, scan).returncode == 0
        assert storescu(reception.port, *stranger.dcmtk, *trust, scan).returncode != 0
        assert storescu(reception.port, "+tla", *trust, scan).returncode != 0
        assert len(reception.files) == 1


def test_who_does_not_shake_hands_holds_up_nobody(
    tmp_path: Path, database: Database, scan: Path, identities: tuple[Identity, ...]
) -> None:
    """The handshake of each connection is its own affair."""
    ours, known, _ = identities
    tls = {"certificate": ours.certificate, "key": ours.key}
    with (
        receiving(tmp_path, database, tls=tls, idle_seconds=2) as reception,
        socket.create_connection(("127.0.0.1", reception.port)),
    ):
        assert storescu(reception.port, *known.dcmtk, "+cf", str(ours.certificate), scan).returncode == 0


def test_handshakes_are_counted(tmp_path: Path, database: Database, identities: tuple[Identity, ...]) -> None:
    """Silent connections have a thread each: beyond twice the associations that are allowed they are closed at once."""
    tls = {"certificate": identities[0].certificate, "key": identities[0].key}
    with receiving(tmp_path, database, tls=tls, associations=1) as reception, ExitStack() as silent:
        for _ in range(2):
            silent.enter_context(socket.create_connection(("127.0.0.1", reception.port)))
        late = silent.enter_context(socket.create_connection(("127.0.0.1", reception.port), timeout=5))
        assert late.recv(1) == b""


def _made(folder: Path, name: str) -> Identity:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip(skip_reasons.OPENSSL)
    identity = Identity(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    places = ["-keyout", str(identity.key), "-out", str(identity.certificate)]
    subprocess.run([*command, *places, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return identity
