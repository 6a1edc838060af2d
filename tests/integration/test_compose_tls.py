"""With deploy/tls.yml, Redis and PostgreSQL speak TLS only, and the services check their certificates."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import skip_reasons
from compose_file import DOTENV, MAIN, REPOSITORY, SECRETS, TLS, services
from compose_processes import ComposeProcesses, free_port, missing_programs, wait_until
from kombu.exceptions import OperationalError
from postgres_image import write_entrypoint
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from servers import postgres_binaries

from db import queries
from db.engine import open_database
from models.phantoms.dicom import PhantomStyle, write_phantoms
from nightread.queue import make_celery
from nightread.settings import load_settings

STAYING = ("redis", "postgres", "producer", "dispatcher", "worker", "flower")

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def compose() -> Iterator[ComposeProcesses]:
    """Start the services of both files with new certificates, PostgreSQL included."""
    if missing_programs() or not shutil.which("openssl"):
        pytest.skip(skip_reasons.COMPOSE_PROGRAMS)
    folder = Path(tempfile.mkdtemp(prefix="nr-tls-"))
    folder.chmod(0o755)
    port = free_port()
    variables = {**DOTENV, "NIGHTREAD_MODEL": "phantom", "NIGHTREAD_WORKERS": "1"}
    user = "nobody" if os.getuid() == 0 else None
    running = ComposeProcesses(
        folder=folder,
        services=services(variables, files=(MAIN, TLS)),
        postgres_address=f"127.0.0.1:{port}/nightread",
        postgres_ready=f"--host 127.0.0.1 --port {port}",
        users={"postgres": user} if user else {},
        programs=folder,
    )
    try:
        subprocess.run(
            [REPOSITORY / "deploy" / "make_certificates.sh", folder / "secrets"], check=True, capture_output=True
        )
        (folder / "postgres").mkdir()
        if user:
            shutil.chown(folder / "postgres", user)
        write_entrypoint(folder, binaries=postgres_binaries(), sockets=folder / "postgres", port=port)
        for name in STAYING:
            running.up(name)
        yield running
    finally:
        running.down()
        shutil.rmtree(folder)


@pytest.fixture
def authority(compose: ComposeProcesses) -> Path:
    """The certificate of the authority of this site."""
    return compose.folder / "secrets" / "tls_ca"


def test_a_film_is_analysed(compose: ComposeProcesses, authority: Path) -> None:
    """Producer, dispatcher and worker work over TLS."""
    write_phantoms(compose.inbox, count=1, seed=7, style=PhantomStyle(size=128))
    login = f"nightread:{SECRETS['postgres_password']}"
    options = f"sslmode=verify-full&sslrootcert={authority}"
    database = open_database(f"postgresql://{login}@{compose.postgres_address}?{options}")
    try:
        wait_until(lambda: queries.tally(database).done == 1, 180, "the film has its outcome")
    finally:
        database.close()


@pytest.mark.parametrize("name", STAYING)
def test_every_service_is_healthy(compose: ComposeProcesses, name: str) -> None:
    """The health checks work over TLS, that of the worker through Redis."""
    assert compose.is_healthy(name)


def test_postgresql_refuses_a_connection_without_tls(compose: ComposeProcesses) -> None:
    """Even with the right password."""
    url = f"postgresql://nightread:{SECRETS['postgres_password']}@{compose.postgres_address}?sslmode=disable"
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(url)


def test_redis_refuses_a_connection_without_tls(compose: ComposeProcesses) -> None:
    """Its only port speaks TLS."""
    password = SECRETS["redis_password"]
    plain = Redis(port=compose.redis_port, username="nightread", password=password, retry=Retry(NoBackoff(), 0))
    with plain, pytest.raises(RedisConnectionError):
        plain.ping()


def test_celery_accepts_no_other_certificate(compose: ComposeProcesses, authority: Path, tmp_path: Path) -> None:
    """Not that of another authority of the same name, and not one that the system does not know."""
    subprocess.run([REPOSITORY / "deploy" / "make_certificates.sh", tmp_path], check=True, capture_output=True)
    address = f"rediss://nightread:{SECRETS['redis_password']}@127.0.0.1:{compose.redis_port}/0"
    _connect(f"{address}?ssl_ca_certs={authority}")
    for wrong in (f"{address}?ssl_ca_certs={tmp_path / 'tls_ca'}", address):
        with pytest.raises((OperationalError, RedisConnectionError), match="CERTIFICATE_VERIFY_FAILED"):
            _connect(wrong)


def _connect(url: str) -> None:
    with make_celery(url, load_settings()).connection() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
        connection.default_channel.client.ping()
