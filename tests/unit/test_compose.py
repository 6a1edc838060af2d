"""docker-compose.yml follows the Compose specification and the rules of this project."""

import re
import tomllib
from pathlib import Path

import pytest
from compose_file import (
    DOTENV,
    REPOSITORY,
    SECRETS,
    MissingVariableError,
    Service,
    document,
    schema,
    services,
)
from jsonschema.validators import validator_for

from nightread import __version__
from nightread.disk import alarm_bytes
from nightread.settings import Settings, load_settings

VALIDATOR = validator_for(schema())(schema())
ALL = services()
LONG_RUNNING = [service for service in ALL.values() if service.name != "migrate"]
OURS = [service for service in ALL.values() if service.extras]

each = pytest.mark.parametrize("service", ALL.values(), ids=lambda service: service.name)
each_that_stays = pytest.mark.parametrize("service", LONG_RUNNING, ids=lambda service: service.name)
each_of_ours = pytest.mark.parametrize("service", OURS, ids=lambda service: service.name)


def test_the_file_is_valid() -> None:
    """The file is valid by the schema of the Compose specification."""
    problems = [error.message for error in VALIDATOR.iter_errors(document())]
    assert problems == []


def test_the_schema_rejects_what_compose_rejects() -> None:
    """The schema rejects a misspelt key."""
    broken = document()
    broken["services"]["redis"]["helthcheck"] = {}
    assert not VALIDATOR.is_valid(broken)


def test_all_services_of_a_site_are_there() -> None:
    """Every part of the architecture is a service."""
    always = {"redis", "postgres", "migrate", "producer", "dispatcher", "worker", "flower"}
    optional = {"receiver", "poller", "sender", "watchdog", "api", "worker-gpu"}
    assert set(ALL) == always | optional
    assert {name for name, service in ALL.items() if not service.profiles} == always
    assert all(ALL[name].profiles == [name.replace("worker-", "")] for name in optional)


@pytest.mark.parametrize("name", ["INBOX", "WORKER_MEMORY"])
def test_a_missing_variable_stops_the_start(name: str) -> None:
    """A missing folder or limit stops `docker compose up` with its name and a hint."""
    with pytest.raises(MissingVariableError, match=f"^{name}: .{{10,}}"):
        services({**DOTENV, name: ""})


@each
def test_secrets_are_files(service: Service) -> None:
    """No argument, health check, variable or other file of the project has a secret; services read mounted files."""
    arguments = [*service.command, *map(str, service.spec.get("healthcheck", {}).get("test", []))]
    assert not [name for name in service.environment if re.search("(PASSWORD|KEY|AUTH)$", name)]
    assert not [url for url in service.environment.values() if re.search(r"://[^/@]*:[^/@]*@", url)]
    named = set(re.findall(r"/run/secrets/(\w+)", " ".join([*arguments, *service.environment.values()])))
    assert named == service.secrets
    assert service.secrets <= set(document()["secrets"]) == set(SECRETS)


def test_secrets_are_read_from_one_folder() -> None:
    """The folder is outside the image and outside Git, and can be moved by a variable."""
    assert {entry["file"] for entry in document()["secrets"].values()} == {f"./secrets/{name}" for name in SECRETS}
    moved = document({**DOTENV, "SECRETS": "/etc/nightread"})["secrets"]
    assert moved["site_key"] == {"file": "/etc/nightread/site_key"}
    assert "/secrets/" in (REPOSITORY / ".gitignore").read_text().splitlines()


@each
def test_services_have_only_the_secrets_they_need(service: Service) -> None:
    """Only workers, who hash numbers of patients, and the API, which searches by them, have the site key.

    Flower cannot read the database.
    """
    assert ("site_key" in service.secrets) == service.name.startswith(("worker", "api"))
    assert ("flower_auth" in service.secrets) == (service.name == "flower")
    assert ("api_key" in service.secrets) == (service.name == "api")
    if service.name == "flower":
        assert "postgres_password" not in service.secrets
    if service.name in ("sender", "watchdog"):
        assert "redis_password" not in service.secrets


@each
def test_networks_are_split(service: Service) -> None:
    """Redis and the database are in internal networks only, and in none with a service that listens for others."""
    networks = document()["networks"]
    assert service.networks <= set(networks)
    if service.name in ("redis", "postgres"):
        assert not service.ports
        assert all(networks[name]["internal"] for name in service.networks)
    outside = {name for name in service.networks if not (networks[name] or {}).get("internal")}
    assert not outside & (ALL["redis"].networks | ALL["postgres"].networks)
    assert bool(outside) == bool(service.ports or service.name in ("poller", "sender", "watchdog"))


@each_of_ours
def test_services_reach_only_the_servers_whose_addresses_they_have(service: Service) -> None:
    """A service is in the network of Redis or PostgreSQL if and only if it has the address of the server."""
    for network, setting in (("queue", "NIGHTREAD_REDIS_URL"), ("database", "NIGHTREAD_DATABASE_URL")):
        assert (network in service.networks) == (setting in service.environment)


def test_workers_leave_the_host_only_if_asked() -> None:
    """They decode what strangers send; only a site that polls stores lets them out, into a network of their own."""
    isolated, open_ = (document({**DOTENV, "WORKERS_ISOLATED": value})["networks"] for value in ("", "false"))
    assert (isolated["retrieval"]["internal"], open_["retrieval"]["internal"]) == ("true", "false")
    members = {name for name, service in ALL.items() if "retrieval" in service.networks}
    assert members == {"worker", "worker-gpu"}


def test_flower_cannot_reach_the_database() -> None:
    """And Redis and PostgreSQL cannot reach each other."""
    assert not ALL["flower"].networks & ALL["postgres"].networks
    assert not ALL["redis"].networks & ALL["postgres"].networks


@each
def test_memory_and_processes_are_limited(service: Service) -> None:
    """No service can take the whole machine, and none writes core dumps."""
    assert re.fullmatch(r"\d+g", service.spec["mem_limit"])
    assert int(service.spec["pids_limit"]) > 0
    assert service.spec["ulimits"] == {"core": 0}


@each_of_ours
def test_a_state_folder_in_memory_is_no_full_disk(service: Service) -> None:
    """Free space below the reserve pauses dispatch until a tenth more is free, and below the alarm `status` warns."""
    (mount,) = service.spec["tmpfs"]
    gib = int(mount.partition("size=")[2].removesuffix("g"))
    assert gib * 1024**3 > 1.1 * alarm_bytes(load_settings().disk_reserve_bytes)


@each
def test_ports_are_open_on_this_host_only(service: Service) -> None:
    """By default no service listens on an external address."""
    assert all(port.startswith("127.0.0.1:") for port in service.ports)


@each
def test_no_service_runs_as_root(service: Service) -> None:
    """Each container has a user other than root, no capability, no new privileges, and a read-only file system."""
    assert service.user.partition(":")[0] not in ("", "0", "root")
    assert service.spec["cap_drop"] == ["ALL"]
    assert service.spec["security_opt"] == ["no-new-privileges:true"]
    assert service.spec["read_only"] is True


@each
def test_images_have_a_version(service: Service) -> None:
    """A later restart starts the tested version: no image has the tag `latest`, and our images have the release."""
    _, _, tag = service.image.partition(":")
    assert tag not in ("", "latest")
    assert not service.extras or tag == __version__


@each
def test_logs_are_limited(service: Service) -> None:
    """The log of each container has a maximum size."""
    assert {"max-size", "max-file"} <= set(service.spec["logging"]["options"])


@each_that_stays
def test_long_running_services_restart(service: Service) -> None:
    """They restart after a crash or a reboot, and have a grace period to stop."""
    assert service.spec["restart"] == "unless-stopped"
    assert re.fullmatch(r"\d+s", service.spec["stop_grace_period"])


@each_that_stays
def test_long_running_services_have_a_health_check(service: Service) -> None:
    """`docker compose ps` shows whether each service works."""
    assert {"test", "interval", "timeout", "start_period"} <= set(service.spec["healthcheck"])


def test_a_worker_has_time_to_finish_its_batch() -> None:
    """The grace period of a worker is longer than its lease."""
    for name in ("worker", "worker-gpu"):
        assert ALL[name].grace_seconds > load_settings().lease_seconds


@each_of_ours
def test_every_setting_exists(service: Service) -> None:
    """Each NIGHTREAD_ variable is a setting."""
    ours = {name for name in service.environment if name.startswith("NIGHTREAD_")}
    named = {name.removeprefix("NIGHTREAD_").removesuffix("_FILE").lower() for name in ours}
    assert named <= set(Settings.model_fields) | {"config"}


@each_of_ours
def test_the_values_are_valid(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings accept the environment of a container, its secrets and the shipped TOML file."""
    for name, secret in SECRETS.items():
        (tmp_path / name).write_text(secret)
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value.replace("/run/secrets", str(tmp_path)))
    monkeypatch.setenv("NIGHTREAD_CONFIG", str(REPOSITORY / document()["configs"]["settings"]["file"]))
    settings = load_settings()
    assert settings.log_format == "json"
    assert settings.model is None


def test_services_wait_for_the_schema() -> None:
    """Services that write to the database start after the migration succeeded."""
    for name in ("producer", "receiver", "poller", "sender", "watchdog", "dispatcher", "worker", "worker-gpu", "api"):
        assert ALL[name].spec["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert not ALL["migrate"].stays


def test_scans_are_mounted_read_only() -> None:
    """No container can change, move or delete a scan; producer and workers see it at the same path."""
    readers = ("producer", "sender", "worker", "worker-gpu", "api")
    mounts = [mount for name in readers for mount in ALL[name].spec["volumes"] if isinstance(mount, dict)]
    inboxes = [mount for mount in mounts if mount["source"] == DOTENV["INBOX"]]
    assert [(mount["target"], mount["read_only"]) for mount in inboxes] == [("/inbox", True)] * len(readers)


def test_received_files_are_in_a_volume_that_all_readers_share() -> None:
    """Who has the setting has the volume, and the same user."""
    sharing = {name for name, service in ALL.items() if "spool:/spool" in service.spec.get("volumes", [])}
    assert sharing == {"producer", "receiver", "sender", "worker", "worker-gpu", "api"}
    assert sharing == {name for name, service in ALL.items() if "NIGHTREAD_SPOOL_DIR" in service.environment}
    assert len({ALL[name].user for name in sharing}) == 1
    assert {services({**DOTENV, "INBOX_USER": "7:7"})[name].user for name in sharing} == {"7:7"}


def test_pictures_and_sign_ins_survive_a_restart_of_the_api() -> None:
    """Its state folder is a volume: /tmp is memory, and is lost at each restart."""
    assert ALL["api"].environment["NIGHTREAD_STATE_DIR"] == "/var/lib/nightread"
    assert "api:/var/lib/nightread" in ALL["api"].spec["volumes"]
    assert "api" in document()["volumes"]


def test_each_image_contains_what_its_service_needs() -> None:
    """Only what explains results by Grad-CAM, and GPU workers, carry TensorFlow; each image has one set of extras."""
    assert {service.name: service.extras for service in OURS} == {
        **dict.fromkeys(("migrate", "producer", "dispatcher", "watchdog", "flower"), "postgres"),
        **dict.fromkeys(("receiver", "poller"), "postgres,stores"),
        "sender": "tensorflow,stores,postgres",
        "worker": "worker,postgres",
        "worker-gpu": "gpu,postgres",
        "api": "tensorflow,api,postgres",
    }
    assert len({service.image for service in OURS}) == len({service.extras for service in OURS})


def test_redis_keeps_the_queue() -> None:
    """Redis writes its data to disk and evicts nothing."""
    command = " ".join(ALL["redis"].command)
    for flag in ("--appendonly yes", "--appendfsync everysec", "--maxmemory-policy noeviction"):
        assert flag in command
    assert "user default off" in command


def test_a_gpu_worker_needs_its_profile() -> None:
    """The worker that needs an NVIDIA GPU starts with the profile `gpu` only."""
    gpu = ALL["worker-gpu"].spec
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert gpu["profiles"] == ["gpu"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_the_build_context_has_what_the_image_needs() -> None:
    """Each package of the wheel is copied into the build and allowed by .dockerignore; .env and scans are not."""
    packages = set(
        tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
            "packages"
        ]
    )
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    copied = {name for line in copies for name in line.split()}
    rules = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in rules
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied
    assert packages < copied
