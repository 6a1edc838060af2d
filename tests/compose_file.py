"""Parse docker-compose.yml as Compose does: replace variables, resolve merges, return one object per service."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
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
DOTENV = {"INBOX": "/srv/inbox", "NIGHTREAD_MODEL": "phantom", "WORKER_MEMORY": "16g"}
"""The required variables of deploy/example.env."""

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


def source() -> str:
    """Return the text of docker-compose.yml."""
    return (REPOSITORY / "docker-compose.yml").read_text("utf-8")


def document(variables: Mapping[str, str] = DOTENV) -> dict[str, Any]:
    """Return the parsed file with `variables` replaced. Raises MissingVariableError."""
    parsed = filled(yaml.safe_load(source()), variables)
    assert isinstance(parsed, dict)
    return parsed


def services(variables: Mapping[str, str] = DOTENV) -> dict[str, Service]:
    """Return all services by name, with `variables` replaced."""
    return {name: _service(name, spec) for name, spec in document(variables)["services"].items()}


@cache
def schema() -> dict[str, Any]:
    """Return the schema of the Compose specification, which the package check-jsonschema contains."""
    text = files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text("utf-8")
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
