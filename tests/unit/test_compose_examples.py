"""The examples in deploy/ agree with docker-compose.yml: variables, optional services and settings."""

import re
import tomllib
from pathlib import Path

from compose_file import DOTENV, MAIN, MORE_HOSTS, REPOSITORY, TLS, WORKER_HOST, services, source

from nightread.settings import load_settings
from nightread.sources import ReceiverSource

ALL = services()
EXAMPLE = (REPOSITORY / "deploy" / "example.env").read_text("utf-8")


def test_the_example_lists_every_variable() -> None:
    """deploy/example.env has exactly the required variables, and the optional ones as comments."""
    required, optional = (set(re.findall(pattern, EXAMPLE, re.MULTILINE)) for pattern in (r"^(\w+)=$", r"^#(\w+)="))
    assert required == set(DOTENV)
    used = set(re.findall(r"\$\{([A-Z_]+)", "".join(map(source, (MAIN, TLS, MORE_HOSTS, WORKER_HOST)))))
    assert required | optional == used


def test_the_example_chooses_the_optional_services() -> None:
    """Without a change `docker compose up` starts the API; every profile is named."""
    assert re.findall(r"^COMPOSE_PROFILES=(.*)$", EXAMPLE, re.MULTILINE) == ["api"]
    profiles = {profile for service in ALL.values() for profile in service.profiles}
    assert all(re.search(rf"^# +{profile}\b", EXAMPLE, re.MULTILINE) for profile in profiles)


def test_the_example_settings_are_the_defaults(tmp_path: Path) -> None:
    """The commented lines of deploy/nightread.toml are valid, and have the default values."""
    shown = (REPOSITORY / "deploy" / "nightread.toml").read_text("utf-8")
    uncommented = tmp_path / "nightread.toml"
    uncommented.write_text(re.sub(r"^#(?=\w+ =)", "", shown.partition("\n\n")[0], flags=re.MULTILINE))
    assert tomllib.loads(uncommented.read_text())
    assert load_settings(uncommented).model_dump() == load_settings().model_dump()


def test_the_example_sources_fit_the_services(tmp_path: Path) -> None:
    """The commented receiver listens where its service expects it; the poller and the sender have something to do."""
    shown = (REPOSITORY / "deploy" / "nightread.toml").read_text("utf-8")
    file = tmp_path / "nightread.toml"
    file.write_text(re.sub(r"^#(?! )", "", shown.partition("\n\n")[2], flags=re.MULTILINE))
    settings = load_settings(file)
    receiver, store = settings.sources
    assert isinstance(receiver, ReceiverSource)
    assert (receiver.address, f":{receiver.port}") == ("0.0.0.0", ALL["receiver"].ports[0][-6:])  # noqa: S104
    assert receiver.callers
    assert store.kind == "orthanc"
    assert [destination.name for destination in settings.destinations] == ["pacs"]
