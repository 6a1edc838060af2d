"""Run the services of docker-compose.yml as local processes, without a container engine."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from compose_file import REPOSITORY, SECRETS, Service, document
from image_packages import hide_other_packages

_HEALTHY_SECONDS = 300
_BETWEEN_LOOKS_SECONDS = 0.1
_SYSTEM = os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin"])


@dataclass(kw_only=True)
class ComposeProcesses:
    """Starts services in the order of `depends_on`, with exactly the command and environment of the file.

    Only addresses, ports and paths are translated, from what a container sees to what they are here. A service can
    import only what the extras of its image install, and read only its own secrets.
    """

    folder: Path
    services: Mapping[str, Service]
    postgres_address: str
    """`HOST:PORT/DATABASE` or `/DATABASE?host=FOLDER` of a running server."""
    postgres_ready: str
    """Address of the server as an argument of pg_isready."""
    settings_file: Path | None = None
    """The file that the variable SETTINGS names; None: the default of docker-compose.yml."""
    secrets: Path | None = None
    """The folder of secrets; None: one with those of compose_file.SECRETS."""
    users: Mapping[str, str] = field(default_factory=dict)
    """Users of services that must not run as the user of the tests."""
    programs: Path | None = None
    """Folder of programs that images of others contain."""
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("inbox", "redis-data", "spool", "empty", "images", "logs", "secrets", "mounts"):
            (self.folder / name).mkdir()
        for name, secret in SECRETS.items():
            (self.folder / "secrets" / name).write_text(secret + "\n")
        self.inbox = self.folder / "inbox"
        self.redis_port, self.flower_port, self.api_port, self.receiver_port = (free_port() for _ in range(4))

    def up(self, name: str) -> None:
        """Start a service after its dependencies; return when it is healthy, or has ended if it runs only once."""
        service = self.services[name]
        for dependency in service.spec.get("depends_on", {}):
            self.up(dependency)
        if name in self.running or (name == "postgres" and not service.command):
            return
        self.running[name] = process = self.start(service)
        if service.stays:
            wait_until(lambda: process.poll() is not None or self.is_healthy(name), _HEALTHY_SECONDS, f"{name} healthy")
            assert process.poll() is None, f"{name} ended with {process.poll()}: {self.log(name)}"
        else:
            assert process.wait(_HEALTHY_SECONDS) == 0, self.log(name)

    def start(self, service: Service) -> subprocess.Popen[bytes]:
        """Start the command of the service, as its container does."""
        self._mount_secrets(service)
        with (self.folder / "logs" / f"{service.name}.log").open("ab") as log:
            return subprocess.Popen(
                [self._translate(word, service) for word in service.command],
                env=self._environment(service),
                cwd=self.folder / "empty",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                user=self.users.get(service.name),
            )

    def is_healthy(self, name: str) -> bool:
        """Run the health check of the service."""
        return self.execute(name, self.services[name].health_command).returncode == 0

    def execute(self, name: str, words: Sequence[str], *, to: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the environment of a service, like `docker compose exec NAME WORDS...`, or with `> TO`."""
        service = self.services[name]
        with to.open("wb") if to else nullcontext(subprocess.PIPE) as output:
            return subprocess.run(
                [self._translate(word, service) for word in words],
                env=self._environment(service),
                cwd=self.folder / "empty",
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
            )

    def down(self) -> dict[str, int]:
        """Stop all services with SIGTERM, dependents first, as Compose does. Return their exit codes.

        A service that does not stop in time is killed.
        """
        codes = {}
        for name, process in reversed(self.running.items()):
            process.terminate()
            try:
                codes[name] = process.wait(self.services[name].grace_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[name] = process.wait()
        return codes

    def state(self, name: str) -> Path:
        """Return the state folder of one service: every container has a /tmp of its own."""
        return self.folder / f"state-{name}"

    def log(self, name: str) -> str:
        """Return the output of a service."""
        return (self.folder / "logs" / f"{name}.log").read_text("utf-8", "replace")

    def _environment(self, service: Service) -> dict[str, str]:
        environment = {name: self._translate(value, service) for name, value in service.environment.items()}
        container = {
            "HOSTNAME": socket.gethostname(),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PATH": self._path(),
        }
        if service.extras is None:
            return {**container, "PGDATA": str(self.folder / "postgres" / "data"), **environment}
        # As in the Dockerfile: programs of the virtual environment come first on PATH.
        container["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), _SYSTEM])
        image = self.folder / "images" / service.extras
        if not image.exists():
            hide_other_packages(image, service.extras)
        container["PYTHONPATH"] = str(image)
        return {**container, **environment}

    def _path(self) -> str:
        return os.pathsep.join([str(self.programs), _SYSTEM] if self.programs else [_SYSTEM])

    def _mount_secrets(self, service: Service) -> None:
        """Copy the secrets that Compose mounts, readable for the user of the service."""
        folder = self._mounted(service)
        folder.mkdir(exist_ok=True)
        for name in service.secrets:
            (folder / name).write_bytes(((self.secrets or self.folder / "secrets") / name).read_bytes())

    def _mounted(self, service: Service) -> Path:
        return self.folder / "mounts" / service.name

    def _translate(self, text: str, service: Service) -> str:
        places = {
            "/inbox": str(self.inbox),
            "/bundles": str(REPOSITORY / "models" / "bundles"),
            "/etc/nightread.toml": str(self.settings_file or REPOSITORY / document()["configs"]["settings"]["file"]),
            "/tmp/key": str(self.folder / "postgres" / "key"),  # noqa: S108
            "/tmp/pg_hba.conf": str(self.folder / "postgres" / "pg_hba.conf"),  # noqa: S108
            "/tmp/nightread": str(self.state(service.name)),  # noqa: S108 - a container's
            "/var/lib/nightread": str(self.state(service.name)),
            "/run/secrets": str(self._mounted(service)),
            "--dir /data": f"--dir {self.folder / 'redis-data'}",
            "--port 6379": f"--port {self.redis_port} --bind 127.0.0.1",
            "--tls-port 6379": f"--tls-port {self.redis_port} --bind 127.0.0.1",
            "-p 6379": f"-p {self.redis_port}",
            "@redis:6379": f"@127.0.0.1:{self.redis_port}",
            "@postgres:5432/nightread": f"@{self.postgres_address}",
            "--host 127.0.0.1 --port 5432": self.postgres_ready,
            '--dbname "$POSTGRES_DB"': "",
            "0.0.0.0": "127.0.0.1",  # noqa: S104 - replaced, not listened on
            ":2B68 ": f":{self.receiver_port:04X} ",
            "5555": str(self.flower_port),
            "8080": str(self.api_port),
            "/spool": str(self.folder / "spool"),
        }
        return re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)


def missing_programs() -> list[str]:
    """List the programs of third-party images that are not installed on this host."""
    return [name for name in ("redis-server", "redis-cli", "pg_isready") if not shutil.which(name, path=_SYSTEM)]


def free_port() -> int:
    """Return an unused loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until `condition` holds; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(_BETWEEN_LOOKS_SECONDS)
