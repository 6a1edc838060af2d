"""The C-STORE receiver over TLS, with self-signed certificates and DCMTK's client."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import skip_reasons
from association_requests import LONG_ENOUGH, trickle
from compose_processes import wait_until
from cstore_receiver import refused_callers, running_receiver
from databases import NewSqlite
from dicom_peers import storescu

from db.engine import Database

pytestmark = pytest.mark.servers


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A self-signed certificate and its key."""

    certificate: Path
    key: Path

    @property
    def dcmtk(self) -> tuple[str, str, str, str]:
        """DCMTK's options to present the certificate."""
        return "+tls", str(self.key), str(self.certificate), "-pw"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificate, Certificate, Certificate]:
    """Certificates of the receiver, of a trusted caller and of an unknown caller."""
    folder = tmp_path_factory.mktemp("certificates")
    own, trusted, unknown = (_make_certificate(folder, name) for name in ("own", "trusted", "unknown"))
    return own, trusted, unknown


@pytest.fixture
def database(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[Database]:
    """One kind of database is enough for tests of TLS."""
    with new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database:
        yield database


def test_dcmtk_sends_over_tls(
    tmp_path: Path, database: Database, scan: Path, certificates: tuple[Certificate, ...]
) -> None:
    """It verifies the receiver's certificate. A caller without TLS fails, and is counted by its address."""
    own, trusted, _ = certificates
    tls = {"certificate": own.certificate, "key": own.key}
    with running_receiver(tmp_path, database, tls=tls) as receiver:
        sent = storescu(receiver.port, *trusted.dcmtk, "+cf", str(own.certificate), scan)
        assert sent.returncode == 0, sent.stderr
        assert storescu(receiver.port, scan).returncode != 0
        socket.create_connection(("127.0.0.1", receiver.port)).close()
        assert len(receiver.files) == len(receiver.arrivals) == 1
        wait_until(lambda: len(receiver.associations) > 1, seconds=20, what="the caller without TLS is counted")
    by_caller = {one.calling_ae: dict(one.statuses) for one in receiver.associations}
    assert by_caller == {"STORESCU": {}, "": {"aborted": 1}}


def test_callers_must_present_a_trusted_certificate(
    tmp_path: Path, database: Database, scan: Path, certificates: tuple[Certificate, ...]
) -> None:
    """With `require_client` the trusted caller is served; unknown callers and callers without certificate are not."""
    own, trusted, unknown = certificates
    tls = {"certificate": own.certificate, "key": own.key, "ca": trusted.certificate, "require_client": True}
    with running_receiver(tmp_path, database, tls=tls) as receiver:
        trust = ("+cf", str(own.certificate))
        assert storescu(receiver.port, *trusted.dcmtk, *trust, scan).returncode == 0
        assert storescu(receiver.port, *unknown.dcmtk, *trust, scan).returncode != 0
        assert storescu(receiver.port, "+tla", *trust, scan).returncode != 0
        assert len(receiver.files) == 1


def test_a_hanging_handshake_does_not_block_others(
    tmp_path: Path, database: Database, scan: Path, certificates: tuple[Certificate, ...]
) -> None:
    """Each connection does its handshake in its own thread."""
    own, trusted, _ = certificates
    tls = {"certificate": own.certificate, "key": own.key}
    with (
        running_receiver(tmp_path, database, tls=tls, idle_seconds=2) as receiver,
        socket.create_connection(("127.0.0.1", receiver.port)),
    ):
        assert storescu(receiver.port, *trusted.dcmtk, "+cf", str(own.certificate), scan).returncode == 0


def test_handshakes_are_counted(tmp_path: Path, database: Database, certificates: tuple[Certificate, ...]) -> None:
    """Silent connections need a thread each; beyond twice the allowed associations they are closed at once."""
    tls = {"certificate": certificates[0].certificate, "key": certificates[0].key}
    with running_receiver(tmp_path, database, tls=tls, associations=1) as receiver, ExitStack() as silent:
        for _ in range(2):
            silent.enter_context(socket.create_connection(("127.0.0.1", receiver.port)))
        late = silent.enter_context(socket.create_connection(("127.0.0.1", receiver.port), timeout=5))
        assert late.recv(1) == b""
        assert refused_callers(receiver) == [("", "127.0.0.1", {"rejected": 1})]


@pytest.mark.parametrize("first", [b"", b"\x16", b"\x16\x03\x01\x02\x00"], ids=["nothing", "a byte", "half a record"])
def test_a_handshake_that_trickles_ends_at_its_deadline(
    tmp_path: Path, database: Database, certificates: tuple[Certificate, ...], first: bytes
) -> None:
    """The time counts from the connection, however often another byte comes."""
    tls = {"certificate": certificates[0].certificate, "key": certificates[0].key}
    with (
        running_receiver(tmp_path, database, tls=tls, idle_seconds=1) as receiver,
        socket.create_connection(("127.0.0.1", receiver.port), 20) as slow,
    ):
        slow.sendall(first)
        assert trickle(slow) < LONG_ENOUGH
        ((_, address, statuses),) = refused_callers(receiver)
        assert (address, sum(statuses.values())) == ("127.0.0.1", 1)


def _make_certificate(folder: Path, name: str) -> Certificate:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip(skip_reasons.OPENSSL)
    certificate = Certificate(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    paths = ["-keyout", str(certificate.key), "-out", str(certificate.certificate)]
    subprocess.run([*command, *paths, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return certificate
