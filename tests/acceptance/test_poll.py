"""`nightread poll` as people start it, and everything behind it."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicom_peers import Orthanc, private_orthanc
from nightread_process import images, run, started, tally, wait_until
from store_contents import fill

pytestmark = pytest.mark.servers

NO_REDIS = "unix:///nobody/is/there"


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    """With some scans."""
    with private_orthanc(tmp_path / "orthanc") as orthanc:
        fill(orthanc, 20)
        yield orthanc
        orthanc.process.kill()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with an empty record."""
    folder = tmp_path / "state"
    assert run("db", "upgrade", "--state", folder).returncode == 0
    return folder


def arrived(state: Path) -> int:
    """How many rows there are."""
    counts = tally(state)
    return counts.arrived if counts else 0


@pytest.mark.slow
def test_each_image_has_one_row_whenever_the_poller_is_killed(orthanc: Orthanc, state: Path, tmp_path: Path) -> None:
    """Kill -9 and another start; SIGTERM ends it at once; people see where the images are, and what is wrong."""
    command = ("poll", "--orthanc", orthanc.url, "--name", "pacs", "--every", "0.1", "--state", state)
    log = tmp_path / "log"
    with started(*command, output=log, REDIS_URL=NO_REDIS):
        wait_until(lambda: arrived(state) == 20, seconds=20, what=lambda: f"{arrived(state)}: {log.read_text()}")
    fill(orthanc, 5, first=20)
    with started(*command, output=log, REDIS_URL=NO_REDIS) as poller:
        wait_until(lambda: arrived(state) == 25, seconds=20, what=lambda: f"{arrived(state)}: {log.read_text()}")
        orthanc.process.kill()
        wait_until(lambda: _troubles(state) != [], seconds=20, what=log.read_text)
        poller.send_signal(signal.SIGTERM)
        assert poller.wait(3) == 0
    assert _troubles(state) == ["cannot be reached: check that it is running, and its address and port"]
    assert "the store cannot be reached" in run("status", "--state", state).stdout
    assert all(image["uri"].startswith(f"{orthanc.url}/instances/") for image in images(state))
    audit = json.loads(run("audit", "--no-queue", "--json", "--state", state).stdout)
    assert audit["holds"]
    assert audit["folders"][0]["kind"] == "orthanc"


@pytest.mark.slow
def test_a_store_is_analysed_to_its_end_and_explained(orthanc: Orthanc, tmp_path: Path) -> None:
    """`up` with a store for its only source: poller, dispatcher and worker, and an original that comes by URL."""
    state, config, log = tmp_path / "state", tmp_path / "night.toml", tmp_path / "log"
    source = f'[[sources]]\nname = "pacs"\nkind = "orthanc"\nurl = "{orthanc.url}"\npoll_seconds = 0.5\n'
    config.write_text(f'model = "phantom"\nworkers = 1\n{source}')

    def states() -> Counter[str]:
        return Counter(image["state"] for image in images(state)) if arrived(state) else Counter()

    with started("up", "--flower-port", "0", "--config", config, "--state", state, output=log) as up:
        wait_until(lambda: states() == {"done": 20}, seconds=60, what=lambda: f"{states()}: {log.read_text()}")
        fill(orthanc, 5, first=20)
        wait_until(lambda: states() == {"done": 25}, seconds=20, what=lambda: f"{states()}: {log.read_text()}")
        up.send_signal(signal.SIGTERM)
        up.wait(20)
    explained = run("explain", "1", "--json", "--config", config, "--state", state)
    assert explained.returncode == 0, explained.stderr
    assert Path(json.loads(explained.stdout)["overlay"]).is_file()


def _troubles(state: Path) -> list[str]:
    sources = json.loads(run("status", "--json", "--state", state).stdout)["sources"]
    return list((sources[0]["report"] or {}).get("troubles", []))
