"""The path of a stranger in docs/deployment.md: from docker-compose.yml to a report in Orthanc, command by command."""

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import skip_reasons
from compose_file import REPOSITORY
from compose_processes import ComposeProcesses, wait_until
from compose_site import compose_site
from dicom_peers import Orthanc, private_orthanc
from pasted_commands import commands_of

from models.phantoms.dicom import PhantomStyle, phantom_file

ROLE = f"nightread_path_{os.getpid()}"
POLLED = """
[[sources]]
name = "archive"
kind = "orthanc"
url = "http://127.0.0.1:8042"
poll_seconds = 1
"""
"""In addition to the settings of the page: the same Orthanc is asked for new images."""
LONGEST_SECONDS = 300
"""Time from the film to the report, on two busy cores; an idle machine takes a tenth of it."""

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(kw_only=True)
class Stranger:
    """Runs the commands of the page in a folder that has the files of the repository."""

    folder: Path
    orthanc: Orthanc
    server: Any
    compose: ComposeProcesses | None = None
    _running: list[Any] = field(default_factory=list)

    def follow(self) -> None:
        """Run all commands, and wait for the report."""
        for command in commands_of("deployment.md", "Try it: from a C-STORE to a report"):
            with self._timed(" ".join(command.split()[:6])):
                self._run(command)
            if command.startswith("dcmsend "):
                with self._timed("the report"):
                    wait_until(lambda: bool(self.reports()), LONGEST_SECONDS, "the report is in Orthanc")

    def reports(self) -> list[dict[str, Any]]:
        """Return the series of reports in Orthanc."""
        return [one for one in self.orthanc.get("/series?expand") if one["MainDicomTags"]["Modality"] == "SR"]

    def stop(self) -> None:
        """Stop what still runs."""
        for context in self._running:
            context.__exit__(None, None, None)

    @staticmethod
    @contextmanager
    def _timed(what: str) -> Iterator[None]:
        """Print how long it took: `pytest -rP` shows it."""
        began = time.monotonic()
        yield
        print(f"{time.monotonic() - began:6.1f} s  {what}")

    def _run(self, command: str) -> None:
        if command.startswith("docker compose up "):
            self._up()
        elif command.startswith("docker compose exec "):
            self._exec(shlex.split(command)[3:])
        elif not command.startswith(("apt install ", "docker compose ps")):
            done = subprocess.run(
                ["bash", "-euc", self._here(command)], cwd=self.folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    def _up(self) -> None:
        """Do what Compose does: read .env, and start the services without a profile and those of the profiles."""
        lines = (self.folder / ".env").read_text().splitlines()
        variables = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        settings = self.folder / variables["SETTINGS"]
        settings.write_text(self._here(settings.read_text() + POLLED).replace("0.0.0.0", "127.0.0.1"))  # noqa: S104
        site = compose_site(
            self.server,
            self.folder / "site",
            ROLE,
            {**variables, "NIGHTREAD_WORKERS": "1"},
            settings_file=settings,
            secrets=self.folder / "secrets",
        )
        self.compose = site.__enter__()
        self._running.append(site)
        settings.write_text(settings.read_text().replace("port = 11112", f"port = {self.compose.receiver_port}"))
        wanted = {*variables["COMPOSE_PROFILES"].split(","), "poller"}
        for name, service in self.compose.services.items():
            if not service.profiles or wanted & set(service.profiles):
                self.compose.up(name)

    def _exec(self, words: list[str]) -> None:
        assert self.compose is not None
        name, *words = [word for word in words if word != "-T"]
        if ">" in words:
            target = self.folder / words[words.index(">") + 1]
            done = self.compose.execute(name, words[: words.index(">")], to=target)
        else:
            done = self.compose.execute(name, words)
        assert done.returncode == 0, done.stderr

    def _here(self, text: str) -> str:
        """Replace the addresses that the page uses by those of the servers of this test."""
        receiver = self.compose.receiver_port if self.compose else 11112
        places = {
            "host.docker.internal": "127.0.0.1",
            "4242": str(self.orthanc.dicom_port),
            "8042": str(self.orthanc.http_port),
            "11112": str(receiver),
        }
        return re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stranger]:
    """Follow the page in a folder of its own."""
    if not shutil.which("dcmsend"):
        pytest.skip(skip_reasons.DCMTK)
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copytree(REPOSITORY / "deploy", folder / "deploy")
    (folder / "site").mkdir()
    with private_orthanc(folder / "orthanc") as orthanc:
        one = Stranger(folder=folder, orthanc=orthanc, server=request.getfixturevalue("postgres_server"))
        try:
            one.follow()
            yield one
        finally:
            one.stop()


@pytest.fixture
def compose(stranger: Stranger) -> ComposeProcesses:
    """The services that the page starts."""
    assert stranger.compose is not None
    return stranger.compose


def test_the_film_of_the_page_ends_as_a_report(stranger: Stranger) -> None:
    """One film is sent by DCMTK, and Orthanc has its report."""
    assert [one["MainDicomTags"]["SeriesDescription"] for one in stranger.reports()][:1] == ["AI - NOT FOR DIAGNOSIS"]


def test_rules_decide_without_a_model(compose: ComposeProcesses) -> None:
    """NIGHTREAD_MODEL is empty; the rule of the page chose the model."""
    assert compose.services["worker"].environment["NIGHTREAD_MODEL"] == ""
    listed = compose.execute("worker", ["nightread", "models", "route"]).stdout
    assert "phantom" in listed


def test_an_image_of_a_polled_store_is_analysed(stranger: Stranger) -> None:
    """The poller registers it, the worker retrieves it, and the sender reports it to the same Orthanc."""
    before = len(stranger.reports())
    stranger.orthanc.upload(phantom_file(seed=9, index=3, style=PhantomStyle(size=128))[0])
    wait_until(lambda: len(stranger.reports()) > before, LONGEST_SECONDS, "the polled image has a report")


@pytest.mark.parametrize("name", ["receiver", "poller", "sender", "api", "worker", "producer"])
def test_every_service_is_healthy(compose: ComposeProcesses, name: str) -> None:
    """The health checks of the services with a profile succeed."""
    assert compose.is_healthy(name)


@pytest.mark.parametrize("name", ["receiver", "poller"])
def test_the_services_of_stores_have_dicom_and_no_tensorflow(compose: ComposeProcesses, name: str) -> None:
    """Their image has the extra `stores` only."""
    assert compose.execute(name, ["python", "-c", "import pydicom, pynetdicom"]).returncode == 0
    assert "No module named" in compose.execute(name, ["python", "-c", "import tensorflow"]).stderr


def test_all_services_stop_in_time(compose: ComposeProcesses) -> None:
    """SIGTERM ends every service with exit code 0 in its grace period; then the receiver is not healthy. Runs last."""
    assert set(compose.down().values()) == {0}
    assert not compose.is_healthy("receiver")
