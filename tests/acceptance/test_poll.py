"""`nightread poll` as a process, with a real Orthanc."""

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

NO_REDIS = "unix:///no/such/redis.sock"


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    """Start an Orthanc with 20 scans."""
    with private_orthanc(tmp_path / "orthanc") as orthanc:
        fill(orthanc, 20)
        yield orthanc
        orthanc.process.kill()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return a state folder with an empty database."""
    folder = tmp_path / "state"
    assert run("db", "upgrade", "--state", folder).returncode == 0
    return folder


def arrived(state: Path) -> int:
    """Return the number of arrivals."""
    counts = tally(state)
    return counts.arrived if counts else 0


@pytest.mark.slow
def test_each_image_has_one_row_after_the_poller_was_killed(orthanc: Orthanc, state: Path, tmp_path: Path) -> None:
    """The poller continues after SIGKILL and stops on SIGTERM; users see the addresses of images, and problems."""
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
def test_all_images_of_a_store_are_analysed_and_can_be_explained(orthanc: Orthanc, tmp_path: Path) -> None:
    """`up` has a store as only source, and `explain` retrieves the original by its URL."""
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
        up.wait(60)  # how long it takes to stop is tested in test_up.py
    explained = run("explain", "1", "--json", "--config", config, "--state", state)
    assert explained.returncode == 0, explained.stderr
    assert Path(json.loads(explained.stdout)["overlay"]).is_file()


def _troubles(state: Path) -> list[str]:
    sources = json.loads(run("status", "--json", "--state", state).stdout)["sources"]
    return list((sources[0]["report"] or {}).get("troubles", []))
