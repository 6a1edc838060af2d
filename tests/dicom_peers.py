"""Run real DICOM peers for tests: a private Orthanc, and the programs of DCMTK."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import skip_reasons

START_SECONDS = 30
DCMTK_SECONDS = 60
_PLUGINS = (Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc"))


@dataclass(frozen=True, kw_only=True)
class Orthanc:
    """A running Orthanc. Started again in the same folder with the same ports, it has the same content."""

    url: str
    ae_title: str
    http_port: int
    dicom_port: int
    auth: tuple[str, str] | None
    process: subprocess.Popen[bytes]
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def dicomweb_url(self) -> str:
        """Return the base URL of QIDO-RS, WADO-RS and STOW-RS."""
        return f"{self.url}/dicom-web"

    def get(self, path: str) -> Any:
        """Return the JSON response to GET of this path."""
        answer = self.session.get(f"{self.url}{path}", timeout=START_SECONDS)
        answer.raise_for_status()
        return answer.json()

    def upload(self, content: bytes) -> str:
        """Store one DICOM file with Orthanc's own REST API; return Orthanc's id of the instance."""
        answer = self.session.post(f"{self.url}/instances", data=content, timeout=START_SECONDS)
        answer.raise_for_status()
        return str(answer.json()["ID"])

    def delete(self, path: str) -> None:
        """Delete a resource, such as `/instances/<id>`."""
        self.session.delete(f"{self.url}{path}", timeout=START_SECONDS).raise_for_status()

    def instances(self) -> int:
        """Return the number of stored instances."""
        return int(self.get("/statistics")["CountInstances"])


@contextmanager
def private_orthanc(
    folder: Path,
    *,
    dicomweb: bool = True,
    auth: tuple[str, str] | None = None,
    ae_title: str = "ORTHANC",
    http_port: int | None = None,
    dicom_port: int | None = None,
    **configuration: Any,
) -> Iterator[Orthanc]:
    """Run an Orthanc with its storage, index and log in `folder`; further keywords go into its configuration."""
    binary = shutil.which("Orthanc")
    if binary is None:
        pytest.skip(skip_reasons.ORTHANC)
    folder.mkdir(parents=True, exist_ok=True)
    http_port, dicom_port = http_port or free_port(), dicom_port or free_port()
    settings = {
        "Name": "peer",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(_dicomweb_plugin())] if dicomweb else [],
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": ae_title,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": auth is not None,
        "RegisteredUsers": dict([auth] if auth else []),
        "DicomAlwaysAllowStore": True,
        "DicomCheckCalledAet": False,
        "UnknownSopClassAccepted": True,
        **configuration,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with ExitStack() as stack:
        log = stack.enter_context((folder / "orthanc.log").open("ab"))
        process = subprocess.Popen([binary, str(folder / "orthanc.json")], stdout=log, stderr=log)
        stack.callback(_stop, process)
        orthanc = Orthanc(
            url=f"http://127.0.0.1:{http_port}",
            ae_title=ae_title,
            http_port=http_port,
            dicom_port=dicom_port,
            auth=auth,
            process=process,
        )
        stack.enter_context(orthanc.session)
        orthanc.session.auth = auth
        _wait_for(orthanc, folder / "orthanc.log")
        yield orthanc


def storescu(port: int, *arguments: str | Path, called: str = "NIGHTREAD") -> subprocess.CompletedProcess[str]:
    """Run DCMTK's storescu against a port of this machine. Exit code 0: every file was stored."""
    return dcmtk("storescu", "-aec", called, *arguments, port=port)


def dcmsend(port: int, *arguments: str | Path, called: str = "NIGHTREAD") -> subprocess.CompletedProcess[str]:
    """Run DCMTK's dcmsend, which sends each file in its own transfer syntax, without decompression."""
    return dcmtk("dcmsend", "-dn", "-aec", called, *arguments, port=port)


def echoscu(port: int, *arguments: str | Path, called: str = "NIGHTREAD") -> subprocess.CompletedProcess[str]:
    """Run DCMTK's echoscu (C-ECHO)."""
    return dcmtk("echoscu", "-aec", called, *arguments, port=port)


def dcmtk(
    program: str, *arguments: str | Path, port: int | None = None, seconds: float = DCMTK_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run a program of DCMTK and wait for its end. `port` is that of a peer on this host."""
    return subprocess.run(
        dcmtk_command(program, *arguments, port=port),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
    )


def dcmtk_command(program: str, *arguments: str | Path, port: int | None = None) -> list[str]:
    """Return the command line for `dcmtk`: options, then the peer, then the files (arguments of type Path)."""
    binary = shutil.which(program)
    if binary is None:
        pytest.skip(skip_reasons.DCMTK)
    peer = [] if port is None else ["127.0.0.1", str(port)]
    options = [argument for argument in arguments if isinstance(argument, str)]
    return [binary, *options, *peer, *(str(argument) for argument in arguments if isinstance(argument, Path))]


def free_port() -> int:
    """Return an unused loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _dicomweb_plugin() -> Path:
    found: Sequence[Path] = [path for folder in _PLUGINS for path in sorted(folder.glob("libOrthancDicomWeb.so*"))]
    if not found:
        pytest.skip(skip_reasons.ORTHANC)
    return found[0]


def _wait_for(orthanc: Orthanc, log: Path) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=START_SECONDS)
    while datetime.now(UTC) < deadline:
        try:
            orthanc.get("/system")
        except requests.ConnectionError:
            pass
        else:
            return
        try:
            orthanc.process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"Orthanc did not come up (exit code {orthanc.process.poll()}):\n{log.read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(START_SECONDS)
