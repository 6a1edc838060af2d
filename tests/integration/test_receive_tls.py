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
from cstore_receiver import receiving
from databases import NewSqlite
from dicom_files import phantom
from dicom_peers import storescu

from db.engine import Database

pytestmark = pytest.mark.servers


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate that signs itself, and its key."""

    certificate: Path
    key: Path

    @property
    def dcmtk(self) -> tuple[str, str, str, str]:
        """DCMTK's options to show it."""
        return "+tls", str(self.key), str(self.certificate), "-pw"


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificate, Certificate, Certificate]:
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


def test_dcmtk_sends_over_tls(
    tmp_path: Path, database: Database, scan: Path, identities: tuple[Certificate, ...]
) -> None:
    """It verifies our certificate; who speaks plain TCP gets nowhere."""
    ours, known, _ = identities
    tls = {"certificate": ours.certificate, "key": ours.key}
    with receiving(tmp_path, database, tls=tls) as receiver:
        sent = storescu(receiver.port, *known.dcmtk, "+cf", str(ours.certificate), scan)
        assert sent.returncode == 0, sent.stderr
        assert storescu(receiver.port, scan).returncode != 0
        assert len(receiver.files) == len(receiver.arrivals) == 1


def test_callers_must_show_a_certificate_of_ours(
    tmp_path: Path, database: Database, scan: Path, identities: tuple[Certificate, ...]
) -> None:
    """With `require_client`: the known one is served, the stranger is not, and nobody without one."""
    ours, known, stranger = identities
    tls = {"certificate": ours.certificate, "key": ours.key, "ca": known.certificate, "require_client": True}
    with receiving(tmp_path, database, tls=tls) as receiver:
        trust = ("+cf", str(ours.certificate))
        assert storescu(receiver.port, *known.dcmtk, *trust, scan).returncode == 0
        assert storescu(receiver.port, *stranger.dcmtk, *trust, scan).returncode != 0
        assert storescu(receiver.port, "+tla", *trust, scan).returncode != 0
        assert len(receiver.files) == 1


def test_who_does_not_shake_hands_holds_up_nobody(
    tmp_path: Path, database: Database, scan: Path, identities: tuple[Certificate, ...]
) -> None:
    """The handshake of each connection is its own affair."""
    ours, known, _ = identities
    tls = {"certificate": ours.certificate, "key": ours.key}
    with (
        receiving(tmp_path, database, tls=tls, idle_seconds=2) as receiver,
        socket.create_connection(("127.0.0.1", receiver.port)),
    ):
        assert storescu(receiver.port, *known.dcmtk, "+cf", str(ours.certificate), scan).returncode == 0


def test_handshakes_are_counted(tmp_path: Path, database: Database, identities: tuple[Certificate, ...]) -> None:
    """Silent connections have a thread each: beyond twice the associations that are allowed they are closed at once."""
    tls = {"certificate": identities[0].certificate, "key": identities[0].key}
    with receiving(tmp_path, database, tls=tls, associations=1) as receiver, ExitStack() as silent:
        for _ in range(2):
            silent.enter_context(socket.create_connection(("127.0.0.1", receiver.port)))
        late = silent.enter_context(socket.create_connection(("127.0.0.1", receiver.port), timeout=5))
        assert late.recv(1) == b""


def _made(folder: Path, name: str) -> Certificate:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip(skip_reasons.OPENSSL)
    identity = Certificate(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    places = ["-keyout", str(identity.key), "-out", str(identity.certificate)]
    subprocess.run([*command, *places, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return identity
