"""Parse docker-compose.yml and the files of deploy/ as Compose does: replace variables, merge, list the services."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[1]
SECRETS = {
    "postgres_password": "5ec2e7a0postgres",
    "redis_password": "5ec2e7a0redis",
    "site_key": "5ec2e7a0site",
    "flower_auth": "operator:5ec2e7a0flower",
    "api_key": "nr_5ec2e7a0api0000000000000000000000",
}
"""The content of the files that deploy/make_secrets.sh writes."""
DOTENV = {"INBOX": "/srv/inbox", "WORKER_MEMORY": "16g"}
"""The required variables of deploy/example.env."""
MAIN, TLS, MORE_HOSTS, WORKER_HOST = (
    "docker-compose.yml",
    "deploy/tls.yml",
    "deploy/more-hosts.yml",
    "deploy/worker-host.yml",
)
"""The files, relative to the repository."""

_REPLACED = ("command", "test")
"""Keys whose lists a further file replaces; other lists are appended."""

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\})")


class MissingVariableError(Exception):
    """A required variable is not set. The text is the message in docker-compose.yml."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service of the file."""

    name: str
    image: str
    command: list[str]
    environment: dict[str, str]
    user: str
    ports: list[str]
    extras: str | None
    """Extras that the Dockerfile installs; only for images of nightread."""
    spec: Mapping[str, Any]

    @property
    def networks(self) -> set[str]:
        """Return the networks that the service is in; without any it would be in the default one."""
        return set(self.spec.get("networks", ["default"]))

    @property
    def profiles(self) -> list[str]:
        """Return the profiles that start the service; without any it always starts."""
        return list(self.spec.get("profiles", []))

    @property
    def secrets(self) -> set[str]:
        """Return the names of the secrets that are mounted."""
        return set(self.spec.get("secrets", []))

    @property
    def stays(self) -> bool:
        """Return whether the service runs permanently."""
        return bool(self.spec["restart"] != "no")

    @property
    def grace_seconds(self) -> int:
        """Return the time in which the service must stop, in seconds; the default of Compose is 10 s."""
        return int(self.spec.get("stop_grace_period", "10s").removesuffix("s"))

    @property
    def health_command(self) -> list[str]:
        """Return the command of the health check, which Docker runs in the container."""
        kind, *words = self.spec["healthcheck"]["test"]
        return ["sh", "-c", *words] if kind == "CMD-SHELL" else words


def source(name: str = MAIN) -> str:
    """Return the text of one file."""
    return (REPOSITORY / name).read_text("utf-8")


def document(variables: Mapping[str, str] = DOTENV, *, files: Sequence[str] = (MAIN,)) -> dict[str, Any]:
    """Return the parsed files, merged, with `variables` replaced. Raises MissingVariableError."""
    parsed: dict[str, Any] = {}
    for name in files:
        parsed = merged(parsed, filled(yaml.safe_load(source(name)), variables))
    return parsed


def services(variables: Mapping[str, str] = DOTENV, *, files: Sequence[str] = (MAIN,)) -> dict[str, Service]:
    """Return all services by name, with `variables` replaced."""
    return {name: _service(name, spec) for name, spec in document(variables, files=files)["services"].items()}


def merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Merge a further file as `docker compose -f EARLIER -f LATER` does."""
    result = dict(earlier)
    for key, value in later.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            result[key] = merged(before, value)
        elif isinstance(before, list) and isinstance(value, list) and key not in _REPLACED:
            result[key] = [*before, *(entry for entry in value if entry not in before)]
        else:
            result[key] = value
    return result


@cache
def schema() -> dict[str, Any]:
    """Return the schema of the Compose specification, which the package check-jsonschema contains."""
    text = resources("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text("utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def _service(name: str, spec: Mapping[str, Any]) -> Service:
    return Service(
        name=name,
        image=spec["image"],
        command=list(spec.get("command", [])),
        environment=dict(spec.get("environment", {})),
        user=str(spec.get("user", "")),
        ports=list(spec.get("ports", [])),
        extras=spec["build"]["args"]["EXTRAS"] if "build" in spec else None,
        spec=spec,
    )


def filled(node: Any, variables: Mapping[str, str] = DOTENV) -> Any:
    """Return the parsed YAML with `variables` replaced. Raises MissingVariableError."""
    if isinstance(node, str):
        return _VARIABLE.sub(lambda found: _value(found, variables), node)
    if isinstance(node, dict):
        return {key: filled(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, variables) for value in node]
    return node


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name = found["name"]
    if name is None:
        return "$"
    value = variables.get(name, "")
    if found["kind"] == "?" and not value:
        raise MissingVariableError(f"{name}: {found['text']}")
    return value or found["text"] or ""
