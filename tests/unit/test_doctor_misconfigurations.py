"""`nightread doctor` reports each misconfiguration of this machine and the settings, with its remedy."""

# ruff: noqa: S104 - nothing listens here, and no password is one

import socket
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from doctor_cases import Case, Place, cases
from doctor_machine import (
    few_files,
    few_watches,
    free_space,
    little_memory,
    machine_checks,
    no_access,
    on_a_share,
    unused_gpu,
)

from cli.checks import decoders, packages, ports, redis, secrets, sources
from cli.checks.check import Check
from cli.checks.exposure import check_exposure
from cli.checks.models import check_models

GOOD_REDIS = {
    "valkey_version": "9.1.2",
    "used_memory_human": "1M",
    "used_memory": 1,
    "role": "master",
    "aof_enabled": 1,
    "maxmemory_policy": "noeviction",
}
LOCAL = "redis://localhost/0"


def _redis(url: str = LOCAL, **facts: object) -> Any:
    return lambda _place: redis.check_facts(GOOD_REDIS | facts, url)


def _without(package: str, **options: bool) -> Any:
    def checks(place: Place) -> Iterable[Check]:
        def missing(name: str) -> str:
            if name.startswith(package):
                raise PackageNotFoundError(name)
            return version(name)

        for module in (packages, decoders):
            place.monkeypatch.setattr(module, "version", missing)
        uses = {"works_here": True, "uses_postgres": False} | options
        yield from packages.check_packages(**uses)
        yield from decoders.check_decoders(works_here=uses["works_here"])

    return checks


def _old_python(place: Place) -> Iterable[Check]:
    place.monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    return packages.check_packages(works_here=False, uses_postgres=False)


def _broken_decoder(place: Place) -> Iterable[Check]:
    place.monkeypatch.setitem(decoders._KINDS, "JPEG_2000", "no_such_codec")
    return list(decoders.check_decoders(works_here=True))


def _source(path: str, *others: str, roots: dict[str, str] | None = None, make: str = "") -> Any:
    def checks(place: Place) -> Iterable[Check]:
        for folder in ("a/b", make or "a/b"):
            (place.folder / folder).mkdir(parents=True, exist_ok=True)
        (place.folder / "file").touch()
        entries = [{"name": f"s{number}", "path": place.folder / each} for number, each in enumerate((path, *others))]
        placed = {name: place.folder / each for name, each in (roots or {}).items()}
        return sources.check_sources(place.settings(sources=entries, roots=placed))

    return checks


def _unreadable(place: Place) -> Iterable[Check]:
    no_access(place)
    return list(_source("a")(place))


def _receiver(**values: Any) -> dict[str, Any]:
    return {"kind": "receiver", "name": "ct", **values}


def _busy(holder: Any) -> Any:
    def checks(place: Place) -> Iterable[Check]:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            settings = place.settings(flower_port=taken.getsockname()[1], api_port=0)
            return list(ports.check_ports(settings, holder=lambda _port: holder))

    return checks


def _foreign_process() -> Any:
    return SimpleNamespace(pid=4711, name=lambda: "grafana", cmdline=lambda: ["/usr/sbin/grafana", "server"])


def _ports(**values: Any) -> Any:
    settings = {"flower_port": 0, "api_port": 0, **values}
    return lambda place: ports.check_ports(place.settings(**settings))


def _no_right(place: Place) -> Iterable[Check]:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    place.monkeypatch.setattr(
        ports.socket,
        "socket",
        lambda *_: SimpleNamespace(setsockopt=lambda *_arguments: None, bind=refuse, close=lambda: None),
    )
    return list(_ports(sources=[_receiver(port=104)])(place))


def _secrets(**values: Any) -> Any:
    return lambda place: secrets.check_secrets(place.settings(**values), None)


def _open_settings_file(place: Place) -> Iterable[Check]:
    (path := place.folder / "nightread.toml").write_text('site_key = "x"\n')
    path.chmod(0o644)
    return secrets.check_secrets(place.settings(), path)


def _open_state(place: Place) -> Iterable[Check]:
    place.state.chmod(0o755)
    return secrets.check_secrets(place.settings(), None)


def _models(**values: Any) -> Any:
    return lambda place: check_models(place.settings(**values))


def _without_keras(place: Place) -> Iterable[Check]:
    place.monkeypatch.setattr("models.runtimes.load.is_installed", lambda runtime: runtime == "onnx")
    return check_models(place.settings(model="phantom", runtime="keras"))


def _changed_model(place: Place) -> Iterable[Check]:
    (folder := place.state / "bundles" / "own").mkdir(parents=True)
    (folder / "bundle.json").write_text('{"name": "own", "version": "1"}')
    return check_models(place.settings(model="own"))


def _exposure(**values: Any) -> Any:
    return lambda place: check_exposure(place.settings(**values))


def _as_root(place: Place) -> Iterable[Check]:
    place.monkeypatch.setattr("cli.checks.exposure.is_root", lambda: True)
    return check_exposure(place.settings())


def _wrong_password(place: Place) -> Iterable[Check]:
    def refuse(_url: str) -> None:
        raise redis.AuthenticationError("invalid password")

    place.monkeypatch.setattr(redis, "open_redis", refuse)
    return list(redis.check_redis(place.settings(redis_url=LOCAL)))


LOGIN = {"user": "orthanc", "password": "orthanc"}
STORE = {"kind": "orthanc", "name": "pacs", "url": "https://pacs.example", "login": LOGIN}


@cases(
    ("Python too old", _old_python, "Python", "fail", "3.9.1", "3.11 or newer"),
    ("a package of the core missing", _without("celery"), "packages", "fail", "celery", "pip install"),
    ("packages of workers missing", _without("pydicom"), "worker", "fail", "pydicom", "nightread[worker]"),
    ("no worker packages on a watching host", _without("pydicom", works_here=False), "worker", "warn", "pydicom",
     "only"),
    ("no runtime", _without("", works_here=True), "networks", "fail", "neither ONNX Runtime nor Keras",
     "nightread[worker]"),
    ("a model that this host cannot run", _without_keras, "model", "fail", "cannot run here",
     "nightread[tensorflow]"),
    ("no driver of PostgreSQL", _without("psycopg", uses_postgres=True), "driver", "fail", "psycopg", "[postgres]"),
    ("no decoders", _without("imagecodecs"), "decoders", "fail", "imagecodecs", "nightread[worker]"),
    ("a broken decoder", _broken_decoder, "decoder JPEG_2000", "fail", "1.2.840.10008.1.2.4.90", "Reinstall"),
    ("no Redis program", lambda place: redis.check_redis(place.settings(redis_server="/no")), "Redis", "fail", "none",
     "NIGHTREAD_REDIS_SERVER"),
    ("no Redis there", lambda place: redis.check_redis(place.settings(redis_url="redis://127.0.0.1:1/0")), "Redis",
     "fail", "unavailable", "NIGHTREAD_REDIS_URL"),
    ("wrong password of Redis", _wrong_password, "Redis", "fail", "refuses the password", "NIGHTREAD_REDIS_PASSWORD"),
    ("old Redis", _redis(valkey_version="8.0.1"), "Redis", "warn", "known holes", "update"),
    ("Redis discards messages", _redis(maxmemory_policy="allkeys-lru"), "Redis eviction", "warn", "allkeys-lru",
     "CONFIG SET maxmemory-policy noeviction"),
    ("Redis keeps nothing", _redis(aof_enabled=0), "Redis persistence", "warn", "no append-only file",
     "appendonly yes"),
    ("Redis cannot write", _redis(aof_last_write_status="err"), "Redis persistence", "fail", "aof_last_write_status",
     "Free space"),
    ("Redis is a replica", _redis(role="slave"), "Redis role", "fail", "replica", "primary"),
    ("Redis is a cluster", _redis(cluster_enabled=1), "Redis role", "fail", "cluster", "single server"),
    ("Redis is nearly full", _redis(maxmemory=100, used_memory=90), "Redis memory", "warn", "90%", "maxmemory"),
    ("Redis is open", _redis("redis://10.0.0.5/0"), "Redis password", "warn", "none", "requirepass"),
    ("leases beyond the visibility timeout", lambda place: redis._visibility(place.settings(lease_seconds=300)),
     "visibility timeout", "warn", "1200 s", "at most 225"),
    ("no model", _models(), "model", "warn", "none configured", "models activate"),
    ("unknown model", _models(model="nothing"), "model", "fail", "nothing", "known models"),
    ("changed model", _changed_model, "model", "fail", "own", "bundle.json"),
    ("folder missing", _source("no"), "source s0", "fail", "does not exist", "mount it"),
    ("file as folder", _source("file"), "source s0", "fail", "not a folder", "Correct the path"),
    ("folder unreadable", _unreadable, "source s0", "fail", "not readable", "the right to read"),
    ("state folder in a source", _source("."), "source s0", "fail", "lies in", "move one"),
    ("a folder in another one", _source("a", "a/b"), "source s1", "warn", "source s0", "arrives twice"),
    ("a root of no source", _source("a", roots={"x": "a"}), "roots", "warn", "no source x", "Correct the name"),
    ("a root that is missing", _source("a", roots={"s0": "no"}), "source s0", "fail", "does not exist", "mount it"),
    ("a port that is taken", lambda place: _renamed(_busy(_foreign_process())(place)), "port", "fail",
     "grafana (process 4711)", "NIGHTREAD_FLOWER_PORT"),
    ("a port of another user", lambda place: _renamed(_busy(None)(place)), "port", "warn", "another user",
     "NIGHTREAD_FLOWER_PORT"),
    ("one port for two", _ports(flower_port=8123, api_port=8123), "port 8123", "fail", "for flower and for api",
     "NIGHTREAD_FLOWER_PORT"),
    ("an address of another host", _ports(api_port=8124, api_address="192.0.2.7"), "port 8124", "fail", "192.0.2.7",
     "127.0.0.1"),
    ("no right to a low port", _no_right, "port 104", "fail", "below 1024", "nightread systemd"),
    ("GPU without a GPU", machine_checks(lambda place: place.monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ""),
     device="gpu"),
     "GPU", "fail", "none found", "driver"),
    ("GPU without libraries", machine_checks(unused_gpu), "GPU", "warn", "0, without", "nightread[gpu]"),
    ("too many processes", machine_checks(workers=999), "cores", "warn", "999", "NIGHTREAD_WORKERS"),
    ("too little memory", machine_checks(little_memory, workers=4), "memory", "warn", "0.2 of 1.0 GiB",
     "NIGHTREAD_WORKERS"),
    ("state folder read-only", machine_checks(no_access), "state folder", "fail", "not writable", "--state"),
    ("disk full", machine_checks(free_space(2**20)), "disk", "warn", "0.0 GiB", "all work is paused"),
    ("disk nearly full", machine_checks(free_space(2**29)), "disk", "warn", "0.5 GiB", "four times"),
    ("SQLite on a share", machine_checks(on_a_share), "file system", "fail", "nfs4", "PostgreSQL"),
    ("few open files", machine_checks(few_files), "open files", "warn", "256", "ulimit -n"),
    ("few folder watches", machine_checks(few_watches), "folder watches", "warn", "128", "sysctl"),
    ("unknown time zone", machine_checks(time_zone="Mars/Base"), "time zone", "fail", "Mars/Base", "time"),
    ("default password of Redis", _secrets(redis_url="redis://:redis@h/0"), "password of Redis", "warn", "default",
     "random"),
    ("user name as password", _secrets(database_url="postgresql://ann:ann@h/n"), "password of the database", "warn",
     "user name", "random"),
    ("default login of Flower", _secrets(flower_auth="admin:admin"), "password of Flower", "warn", "default", "random"),
    ("default login of a store", _secrets(sources=[STORE]), "password of pacs", "warn", "default", "random"),
    ("short password of mail", _secrets(smtp_password="abc"), "password of the mail server", "warn", "short", "random"),
    ("readable secrets", _open_settings_file, "settings file", "warn", "mode 0644", "chmod 600"),
    ("readable state folder", _open_state, "file modes", "warn", "mode 0755", "chmod go="),
    ("root", _as_root, "user", "warn", "root", "--user"),
    ("a receiver for everybody", _exposure(sources=[_receiver(address="0.0.0.0")]), "source ct", "warn", "everyone",
     "callers"),
    ("an API without TLS", _exposure(api_address="0.0.0.0"), "api", "warn", "http", "api_tls"),
)  # fmt: skip
def test_each_misconfiguration_is_reported_with_its_remedy(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One check names it, with the right severity, what was found, and what to do."""
    (tmp_path / "state").mkdir(mode=0o700)
    case.require_reported(Place(folder=tmp_path, monkeypatch=monkeypatch))


def test_a_good_redis_and_a_port_of_nightread_are_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is right is `ok`, with what was found."""
    (tmp_path / "state").mkdir(mode=0o700)
    place = Place(folder=tmp_path, monkeypatch=monkeypatch)
    own = SimpleNamespace(pid=12, name=lambda: "python", cmdline=lambda: ["python", "-P", "-m", "cli", "api"])
    good = [*redis.check_facts(GOOD_REDIS, "redis://:s@10.0.0.5/0"), *_busy(own)(place), *_source("a")(place)]
    good += [*_secrets(redis_url="redis://:9f8e7d6c5b4a@h/0")(place), *decoders.check_decoders(works_here=True)]
    assert {check.result for check in good} == {"ok"}, good
    assert any("in use by nightread (process 12)" in check.found for check in good)


def _renamed(checks: Iterable[Check]) -> list[Check]:
    """Return the checks of a free port under a name without its number."""
    return [Check(name="port", result=each.result, found=each.found, remedy=each.remedy) for each in checks]
