"""Stores with the manners of several makers: every image is registered and retrieved, or `status` says why not."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
import skip_reasons
from compose_processes import wait_until
from dicom_peers import free_port
from ledger_driver import LedgerDriver, SettableClock

from nightread.instance import retrieve
from nightread.settings import load_settings
from nightread.sources import DicomwebSource
from nightread.stores import open_store
from producer.stores.poll import StorePoller

pytestmark = [pytest.mark.servers, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]

STUDIES = {"limit200": 250, "cap100": 120}
"""More than these stores return in one page; each study has one image."""
FEW_STUDIES = 12
Address = Callable[[str], str]
"""Returns the URL of the store with this manner."""


@pytest.fixture
def clock() -> SettableClock:
    """A clock that starts now, since the studies of the store are from today."""
    return SettableClock(datetime.now(UTC))


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """Run the generator of ../shared/cases on free loopback ports, once for each number of studies."""
    script = skip_reasons.SHARED_CASES / "dicomweb_servers.py"
    if not script.is_file():
        pytest.skip(skip_reasons.NO_SHARED_CASES)
    with ExitStack() as stack:
        ports: dict[int, int] = {}

        def start(manner: str) -> str:
            studies = STUDIES.get(manner, FEW_STUDIES)
            if studies not in ports:
                ports[studies] = free_port()
                stack.enter_context(_running(script, ports[studies], studies))
            return f"http://127.0.0.1:{ports[studies]}/{manner}"

        yield start


@contextmanager
def _running(script: Path, port: int, studies: int) -> Iterator[None]:
    command = [sys.executable, str(script), str(port), str(studies)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _responds(port), seconds=30, what="the store responds")
        yield
    finally:
        process.kill()
        process.wait()


def _responds(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/plain/studies?limit=1") as response:
            return bool(response.status)
    except HTTPError:
        return True
    except (URLError, ConnectionError):
        return False


@pytest.mark.parametrize(
    "manner",
    ["limit200", "cap100", "gzip", "bare", "lf", "spaces", "preamble", "noclose", "star406", "star400", "star500"],
)
def test_all_images_of_a_store_are_registered_and_retrieved(
    ledger_driver: LedgerDriver, address: Address, manner: str
) -> None:
    """Each retrieved file is the one that the store without a manner returns."""
    store = DicomwebSource.model_validate({"name": "pacs", "url": address(manner)})
    poller = StorePoller(store, load_settings(), ledger_driver.database, lambda _: None, clock=ledger_driver.clock)
    assert poller.poll_once(threading.Event()) == STUDIES.get(manner, FEW_STUDIES)
    assert poller.report.troubles == ()
    uris = sorted(row.uri for row in ledger_driver.instances())[:3]
    plain = open_store(
        DicomwebSource.model_validate({"name": "plain", "url": address(manner).replace(manner, "plain")})
    )
    wanted = [sha256(retrieve(plain, uri, max_bytes=10_000)).digest() for uri in uris]
    client = open_store(store)
    assert [sha256(retrieve(client, uri, max_bytes=10_000)).digest() for uri in uris] == wanted
