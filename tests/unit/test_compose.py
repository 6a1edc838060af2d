"""docker-compose.yml keeps to the Compose specification and to the rules of this house."""

import re
import tomllib
from pathlib import Path

import pytest
from compose_file import DOTENV, REPOSITORY, SECRETS, MissingVariableError, Service, document, schema, services, source
from jsonschema.validators import validator_for

from nightread import __version__
from nightread.settings import Settings, load_settings

VALIDATOR = validator_for(schema())(schema())
ALL = services()
LONG_RUNNING = [service for service in ALL.values() if service.name != "migrate"]
OURS = [service for service in ALL.values() if service.extras]
EXAMPLE = (REPOSITORY / "deploy" / "example.env").read_text("utf-8")

each = pytest.mark.parametrize("service", ALL.values(), ids=lambda service: service.name)
each_that_stays = pytest.mark.parametrize("service", LONG_RUNNING, ids=lambda service: service.name)
each_of_ours = pytest.mark.parametrize("service", OURS, ids=lambda service: service.name)


def test_the_file_is_valid() -> None:
    """Compose accepts the file, as far as the schema of its specification can tell."""
    problems = [error.message for error in VALIDATOR.iter_errors(document())]
    assert problems == []


def test_the_schema_rejects_what_compose_rejects() -> None:
    """The schema in use is the real one: a misspelt key does not pass."""
    broken = document()
    broken["services"]["redis"]["helthcheck"] = {}
    assert not VALIDATOR.is_valid(broken)


def test_the_parts_of_a_site_are_there() -> None:
    """Every part that the architecture names runs as a service of its own."""
    parts = {"redis", "postgres", "migrate", "producer", "dispatcher", "worker", "worker-gpu", "flower"}
    assert set(ALL) == parts


@pytest.mark.parametrize("name", [*SECRETS, "INBOX", "NIGHTREAD_MODEL"])
def test_nothing_starts_without_what_is_required(name: str) -> None:
    """A forgotten secret, folder or model stops `docker compose up` with its name and what to put there."""
    with pytest.raises(MissingVariableError, match=f"^{name}: .{{10,}}"):
        services({**DOTENV, name: ""})


def test_the_example_lists_every_variable() -> None:
    """deploy/example.env names the required variables, and as comments the optional ones; no more and no fewer."""
    required, optional = (set(re.findall(pattern, EXAMPLE, re.MULTILINE)) for pattern in (r"^(\w+)=$", r"^#(\w+)="))
    assert required == set(DOTENV)
    assert required | optional == set(re.findall(r"\$\{([A-Z_]+)", source()))


@each
def test_secrets_stay_out_of_arguments(service: Service) -> None:
    """Arguments are for everyone on the host to see: neither commands nor health checks hold a secret."""
    arguments = " ".join([*service.command, *map(str, service.spec.get("healthcheck", {}).get("test", []))])
    passwords = [secret.rpartition(":")[2] for secret in SECRETS.values()]
    assert not [password for password in passwords if password in arguments]


@each
def test_services_know_only_the_secrets_they_need(service: Service) -> None:
    """The key that makes patient keys is the workers' alone, and Flower cannot read the record."""
    environment = " ".join(service.environment.values())
    assert (SECRETS["NIGHTREAD_SITE_KEY"] in environment) == service.name.startswith("worker")
    if service.name == "flower":
        assert SECRETS["POSTGRES_PASSWORD"] not in environment


@each
def test_ports_are_for_this_host_alone(service: Service) -> None:
    """Nothing listens on an outer address unless the operator names it."""
    assert all(port.startswith("127.0.0.1:") for port in service.ports)


@each
def test_no_service_runs_as_root(service: Service) -> None:
    """Each container has a user who is not root, no capability, no way to more, and a read-only file system."""
    assert service.user.partition(":")[0] not in ("", "0", "root")
    assert service.spec["cap_drop"] == ["ALL"]
    assert service.spec["security_opt"] == ["no-new-privileges:true"]
    assert service.spec["read_only"] is True


@each
def test_images_have_a_version(service: Service) -> None:
    """A restart next year brings up what was tested: no image floats with `latest`, ours carry the release."""
    _, _, tag = service.image.partition(":")
    assert tag not in ("", "latest")
    assert not service.extras or tag == __version__


@each
def test_logs_are_limited(service: Service) -> None:
    """No container fills the disk with its log."""
    assert {"max-size", "max-file"} <= set(service.spec["logging"]["options"])


@each_that_stays
def test_long_running_services_restart(service: Service) -> None:
    """What is meant to run comes back after a crash or a reboot, and has time to end in good order."""
    assert service.spec["restart"] == "unless-stopped"
    assert re.fullmatch(r"\d+s", service.spec["stop_grace_period"])


@each_that_stays
def test_long_running_services_have_a_health_check(service: Service) -> None:
    """`docker compose ps` tells whether each part does its work."""
    assert {"test", "interval", "timeout", "start_period"} <= set(service.spec["healthcheck"])


def test_a_worker_may_finish_its_batch() -> None:
    """A worker gets as long to stop as a batch may stay without progress."""
    for name in ("worker", "worker-gpu"):
        assert ALL[name].grace_seconds > load_settings().lease_seconds


@each_of_ours
def test_every_setting_exists(service: Service) -> None:
    """Each NIGHTREAD_ variable is a knob of Settings, and the values together are valid."""
    named = {name.removeprefix("NIGHTREAD_").lower() for name in service.environment if name.startswith("NIGHTREAD_")}
    assert named <= set(Settings.model_fields) | {"config"}


@each_of_ours
def test_the_values_are_valid(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings accept what a container finds in its environment and in the TOML file that ships."""
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NIGHTREAD_CONFIG", str(REPOSITORY / document()["configs"]["settings"]["file"]))
    settings = load_settings()
    assert settings.log_format == "json"
    assert settings.model == ("phantom" if service.name.startswith("worker") else None)


def test_the_example_settings_are_the_defaults(tmp_path: Path) -> None:
    """What deploy/nightread.toml shows as comments is valid, and changes nothing when the comment signs go."""
    shown = (REPOSITORY / "deploy" / "nightread.toml").read_text("utf-8")
    uncommented = tmp_path / "nightread.toml"
    uncommented.write_text(re.sub(r"^#(?=\w+ =)", "", shown, flags=re.MULTILINE))
    assert tomllib.loads(uncommented.read_text())
    assert load_settings(uncommented).model_dump() == load_settings().model_dump()


def test_everyone_waits_for_the_schema() -> None:
    """What writes to the record starts after the one-shot migration ended well."""
    for name in ("producer", "dispatcher", "worker", "worker-gpu"):
        assert ALL[name].spec["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert not ALL["migrate"].stays


def test_scans_are_mounted_read_only() -> None:
    """No container can change, move or delete a scan; producer and workers see it at the same place."""
    mounts = [mount for name in ("producer", "worker", "worker-gpu") for mount in ALL[name].spec["volumes"]]
    inboxes = [mount for mount in mounts if mount["source"] == DOTENV["INBOX"]]
    assert [(mount["target"], mount["read_only"]) for mount in inboxes] == [("/inbox", True)] * 3


def test_only_workers_carry_tensorflow() -> None:
    """The images of producer, dispatcher, migration and Flower are installed without the worker's extra."""
    extras = {service.name: service.extras for service in OURS}
    assert {name for name, wanted in extras.items() if wanted == "postgres"} == {
        "migrate",
        "producer",
        "dispatcher",
        "flower",
    }
    assert (extras["worker"], extras["worker-gpu"]) == ("worker,postgres", "gpu,postgres")


def test_redis_keeps_the_queue() -> None:
    """Redis writes what it has to disk and evicts nothing."""
    command = " ".join(ALL["redis"].command)
    for flag in ("--appendonly yes", "--appendfsync everysec", "--maxmemory-policy noeviction"):
        assert flag in command


def test_a_gpu_worker_waits_for_its_profile() -> None:
    """Only who asks for the gpu profile gets a worker that needs an NVIDIA card."""
    gpu = ALL["worker-gpu"].spec
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert gpu["profiles"] == ["gpu"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_the_builder_sees_what_the_image_needs() -> None:
    """Each package of the wheel is copied into the build and let through by .dockerignore; .env and scans are not."""
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
