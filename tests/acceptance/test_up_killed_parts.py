"""Each part of `nightread up` that is killed, and `up` itself, is named in the first line of `nightread status`.

All tests share one `up`, and run in their order; the last one kills it.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from compose_processes import free_port
from nightread_process import run, started, wait_until
from up_process import UpProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WITHIN_SECONDS = 60
PARTS = {
    "watcher": "cli watch --inbox",
    "dispatcher": "cli dispatch",
    "worker": "worker.app worker",
    "watchdog": "cli watchdog",
    "API": "cli api",
    "Flower": "flower_server",
    "Redis": "redis.sock",
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """Start `up`, and wait until `status` says that all its parts work."""
    up = UpProcess(folder=tmp_path_factory.mktemp("up"))
    with up.up() as up.process:
        wait_until(lambda: check(up)[0] == 0, seconds=180, what=lambda: f"{check(up)} {up.describe()}")
        yield up


def check(up: UpProcess) -> tuple[int, str]:
    """Return the exit code and the line of `status --check`."""
    if not (up.state / "nightread.sqlite3").exists():
        return 2, ""
    done = run("status", "--check", "--state", up.state)
    return done.returncode, done.stdout


def test_all_parts_work(up: UpProcess) -> None:
    """The line names each of them, and "Nothing to do" is true."""
    _, line = check(up)
    assert line.startswith("Running: nightread up, watcher, dispatcher, worker, watchdog, API, Flower and Redis work.")
    assert "Nothing to do" in run("status", "--state", up.state).stdout


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_is_named(up: UpProcess, part: str) -> None:
    """`up` starts it again within seconds, and its death is said all the same; then a file is analysed."""
    (process,) = up.find(PARTS[part])
    process.kill()
    wait_until(lambda: _is_named(up, part), seconds=WITHIN_SECONDS, what=lambda: f"{check(up)} {up.describe()}")
    up.drop_phantoms(1)
    up.wait_until_all_final(180)


def _is_named(up: UpProcess, part: str) -> bool:
    code, line = check(up)
    return code != 0 and part in line and not line.startswith("Running")


def test_a_killed_up_is_named(up: UpProcess) -> None:
    """A file that is dropped afterwards is noticed by nobody, and `status` does not say that nothing is to do."""
    assert up.process is not None
    up.process.kill()
    up.process.wait()
    up.drop_phantoms(1)
    wait_until(lambda: "nightread up is silent" in check(up)[1], seconds=WITHIN_SECONDS, what=lambda: str(check(up)))
    code, line = check(up)
    text = run("status", "--state", up.state).stdout
    assert code == 2
    assert line.startswith("STOPPED: ")
    assert text.splitlines()[0].startswith("STOPPED: ")
    assert "Nothing to do" not in text


def test_a_killed_receiver_poller_and_sender_are_named(tmp_path: Path) -> None:
    """A settings file lists one source of each kind and a destination; the store and the destination are away."""
    up = UpProcess(folder=tmp_path)
    config = tmp_path / "nightread.toml"
    config.write_text(_CONFIG.format(inbox=up.inbox, receiver=free_port(), closed=free_port()))
    ports = ("--flower-port", "0", "--api-port", "0")
    arguments = ("up", "--config", config, "--state", up.state, "--model", "phantom", "--workers", "1", *ports)
    needed = {"up", "watcher", "receiver", "poller", "dispatcher", "worker", "sender", "redis"}
    with started(*arguments, output=up.output) as up.process:
        wait_until(lambda: _alive(up, config) >= needed, seconds=180, what=lambda: f"{check(up)} {up.describe()}")
        for part, words in (("receiver", "cli receive"), ("poller", "cli poll"), ("sender", "cli send-results")):
            (process,) = up.find(words)
            process.kill()
            wait_until(lambda part=part: _is_named(up, part), seconds=WITHIN_SECONDS, what=lambda: str(check(up)))  # type: ignore[misc]


def _alive(up: UpProcess, config: Path) -> set[str]:
    """Return the parts that are alive."""
    if not (up.state / "nightread.sqlite3").exists():
        return set()
    done = run("status", "--json", "--config", config, "--state", up.state)
    parts = json.loads(done.stdout)["parts"] if done.returncode == 0 else []
    return {part["part"] for part in parts if part["state"] == "alive"}


_CONFIG = """
[[sources]]
kind = "folder"
name = "inbox"
path = "{inbox}"

[[sources]]
kind = "receiver"
name = "modalities"
port = {receiver}

[[sources]]
kind = "orthanc"
name = "store"
url = "http://127.0.0.1:{closed}"

[[destinations]]
kind = "store"
name = "pacs"
address = "127.0.0.1"
port = {closed}
ae_title = "PACS"
"""
