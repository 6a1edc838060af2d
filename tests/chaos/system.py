"""Run the whole system: Redis, the database, watcher, dispatcher and a worker with two processes."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from chaos.disk import Disk, small_disk
from chaos.supervised_servers import SupervisedPostgres, SupervisedRedis
from chaos.supervisor import SupervisedProcess, Supervisor
from chaos.waiting import WaitTimeoutError, wait_until
from db.engine import Database, open_database

NIGHTREAD = str(Path(sys.executable).with_name("nightread"))
LEASE_SECONDS = 5.0
FAULTS = Path(__file__).parents[1] / "faults"
_SETTINGS = {
    "MODEL": "phantom",
    "WORKERS": 2,
    "BATCH_IMAGES": 16,
    "LEASE_SECONDS": LEASE_SECONDS,
    "IMAGE_TIMEOUT_SECONDS": LEASE_SECONDS,
    "SETTLE_SECONDS": 0.5,
    "SCAN_SECONDS": 2,
    "ARRIVAL_TIMEOUT_SECONDS": 15,
    "RETRY_BASE_SECONDS": 0.2,
    "RETRY_CAP_SECONDS": 5,
    "DISK_RESERVE_BYTES": 8 * 1024**2,
}
_RUN = "CHAOS_RUN"
_ORPHAN_SECONDS = 20


@dataclass(kw_only=True)
class ChaosSystem:
    """The servers and programs of one run, and their folders."""

    folder: Path
    disk: Disk
    environment: dict[str, str]
    database_url: str
    redis: SupervisedRedis
    postgres: SupervisedPostgres | None
    supervised: dict[str, SupervisedProcess] = field(default_factory=dict)

    @property
    def servers(self) -> list[SupervisedRedis | SupervisedPostgres]:
        """Redis, and PostgreSQL if it is used."""
        return [self.redis, *([self.postgres] if self.postgres else [])]

    @property
    def inbox(self) -> Path:
        """The watched folder."""
        return self.folder / "inbox"

    @property
    def logs(self) -> Path:
        """The folder of the logs, one file for each process."""
        return self.folder / "logs"

    @property
    def state(self) -> Path:
        """The state folder, on the small disk."""
        return self.disk.folder / "state"

    @property
    def worker_children(self) -> list[psutil.Process]:
        """The processes of the worker that analyse images."""
        return self.supervised["worker"].children

    def arm(self, step: str) -> Path:
        """Kill the next process that reaches this step of tests/faults. Return the file that it deletes before."""
        token = self.folder / "faults" / step
        token.touch()
        return token

    def database(self) -> Database:
        """Open the database. The caller closes it."""
        return open_database(self.database_url)

    def nightread(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a `nightread` command with the settings of the system, and wait for its end."""
        command = [NIGHTREAD, *map(str, arguments)]
        return subprocess.run(
            command, env=self.environment, cwd=self.folder, check=False, capture_output=True, text=True, timeout=120
        )

    def start(self) -> None:
        """Start the servers and create the schema of the database."""
        for server in self.servers:
            server.supervised.start()
            server.wait_until_ready()
        upgraded = self.nightread("db", "upgrade")
        if upgraded.returncode:
            raise WaitTimeoutError(f"nightread db upgrade: {upgraded.stderr}")

    def start_programs(self) -> None:
        """Start the programs, and wait until the worker has both of its processes."""
        for supervised in self.supervised.values():
            supervised.start()
        wait_until(lambda: len(self.worker_children) >= 2, seconds=60, what="the worker has two processes")

    def orphans(self) -> list[str]:
        """Return processes of the system that have outlived their parent by more than 20 s."""
        try:
            wait_until(lambda: not self._orphans(), seconds=_ORPHAN_SECONDS, what="no orphans")
        except WaitTimeoutError:
            return [f"process {orphan.pid}: {' '.join(orphan.cmdline())[:120]}" for orphan in self._orphans()]
        return []

    def stop(self) -> list[str]:
        """Stop the programs, then the servers. Return the processes that had to be killed or outlived their parent."""
        servers = [server.supervised for server in self.servers]
        killed = [program for program in self.supervised.values() if not program.stop()]
        killed += [server for server in servers if not server.stop(_stop_signal(server))]
        not_stopped = [f"{process.name} had to be killed" for process in killed]
        orphans = self.orphans()
        for orphan in self._orphans():
            orphan.kill()
        return not_stopped + orphans

    def _orphans(self) -> list[psutil.Process]:
        run = self.environment[_RUN]
        processes = [process for process in psutil.process_iter() if _belongs_to(process, run)]
        servers = [server.supervised for server in self.servers]
        family = set()
        for supervised in (*self.supervised.values(), *servers):
            if supervised.process is not None and supervised.is_alive:
                parent = psutil.Process(supervised.process.pid)
                family |= {parent.pid, *(child.pid for child in parent.children(recursive=True))}
        return [process for process in processes if process.pid not in family]


@contextmanager
def chaos_system(
    folder: Path, *, database: str, programs: Mapping[str, Sequence[str]] | None = None
) -> Iterator[ChaosSystem]:
    """Prepare a system without starting it, and stop all of its processes at the end.

    `programs` are the commands of nightread with their arguments: by default watcher, dispatcher and worker.
    """
    with ExitStack() as stack:
        for name in ("inbox", "logs", "faults"):
            (folder / name).mkdir(parents=True)
        disk = stack.enter_context(small_disk(folder / "disk"))
        # The path of a Unix socket is limited to 107 bytes, so the sockets are not below `folder`.
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nr-chaos-")))
        sockets.chmod(0o711)
        system = _prepared(folder, disk, sockets, database)
        watched = {"watch": ["--inbox", str(system.inbox), "--name", "inbox"], "dispatch": [], "worker": []}
        _add_programs(system, watched if programs is None else programs)
        stack.callback(system.stop)
        servers = [server.supervised for server in system.servers]
        stack.enter_context(Supervisor([*servers, *system.supervised.values()]))
        yield system


def settings_environment(**settings: object) -> dict[str, str]:
    """Return an environment with these settings and without those of the machine."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTREAD_")}
    if "NIGHTREAD_RUNTIME" in os.environ:  # make test RUNTIME=keras
        inherited["NIGHTREAD_RUNTIME"] = os.environ["NIGHTREAD_RUNTIME"]
    chosen = {**_SETTINGS, **settings}
    return inherited | {
        f"NIGHTREAD_{name}": value if isinstance(value, str) else json.dumps(value) for name, value in chosen.items()
    }


def _prepared(folder: Path, disk: Disk, sockets: Path, database: str) -> ChaosSystem:
    state = disk.folder / "state"
    state.mkdir()
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = {_RUN: str(uuid.uuid4())}
    redis = SupervisedRedis(sockets, plain | run, folder / "logs")
    postgres = None
    if database == "postgresql":
        postgres = SupervisedPostgres(disk.folder / "pg", sockets / "pg", plain | run, folder / "logs")
    url = postgres.url if postgres else f"sqlite:///{state / 'nightread.sqlite3'}"
    settings = settings_environment(
        STATE_DIR=str(state), DATABASE_URL=url, REDIS_URL=redis.url, FAULTS_DIR=str(folder / "faults")
    )
    return ChaosSystem(
        folder=folder,
        disk=disk,
        environment=settings | run | {"PYTHONPATH": str(FAULTS)},
        database_url=url,
        redis=redis,
        postgres=postgres,
    )


def _add_programs(system: ChaosSystem, programs: Mapping[str, Sequence[str]]) -> None:
    system.supervised = {
        name: SupervisedProcess(
            name=name,
            arguments=[NIGHTREAD, name, *arguments],
            environment=system.environment,
            folder=system.folder,
            log_file=system.logs / f"{name}.log",
        )
        for name, arguments in programs.items()
    }


def _belongs_to(process: psutil.Process, run: str) -> bool:
    try:
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and process.pid != os.getpid() and process.environ().get(_RUN) == run
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _stop_signal(supervised: SupervisedProcess) -> signal.Signals:
    """Return the signal that stops a process: SIGINT for PostgreSQL, which waits for its clients after SIGTERM."""
    return signal.SIGINT if supervised.name == "postgresql" else signal.SIGTERM
