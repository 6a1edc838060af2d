"""docker-compose.yml as Compose reads it: variables filled in, merges done, one value per service."""

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
    "POSTGRES_PASSWORD": "5ec2e7a0postgres",
    "REDIS_PASSWORD": "5ec2e7a0redis",
    "NIGHTREAD_SITE_KEY": "5ec2e7a0site",
    "NIGHTREAD_FLOWER_AUTH": "operator:5ec2e7a0flower",
}
DOTENV = {**SECRETS, "INBOX": "/srv/inbox", "NIGHTREAD_MODEL": "phantom"}
"""The least that deploy/example.env asks for."""

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\})")


class MissingVariableError(Exception):
    """A variable that must be set is not; the text is the file's own message."""


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
    """What the Dockerfile installs, for images of ours."""
    spec: Mapping[str, Any]

    @property
    def stays(self) -> bool:
        """Whether it is meant to run all the time."""
        return bool(self.spec["restart"] != "no")

    @property
    def grace_seconds(self) -> int:
        """How long it may take to stop; Compose's default is 10 s."""
        return int(self.spec.get("stop_grace_period", "10s").removesuffix("s"))

    @property
    def health_command(self) -> list[str]:
        """What Docker executes in the container to see whether it is well."""
        kind, *words = self.spec["healthcheck"]["test"]
        return ["sh", "-c", *words] if kind == "CMD-SHELL" else words


def source() -> str:
    """The file as it stands."""
    return (REPOSITORY / "docker-compose.yml").read_text("utf-8")


def document(variables: Mapping[str, str] = DOTENV) -> dict[str, Any]:
    """The whole file with `variables` filled in. Raises MissingVariableError."""
    filled = _fill(yaml.safe_load(source()), variables)
    assert isinstance(filled, dict)
    return filled


def services(variables: Mapping[str, str] = DOTENV) -> dict[str, Service]:
    """All services by name, with `variables` filled in."""
    return {name: _service(name, spec) for name, spec in document(variables)["services"].items()}


@cache
def schema() -> dict[str, Any]:
    """The schema of the Compose specification, as the check-jsonschema package ships it."""
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


def _fill(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return _VARIABLE.sub(lambda found: _value(found, variables), node)
    if isinstance(node, dict):
        return {key: _fill(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, variables) for value in node]
    return node


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name = found["name"]
    if name is None:
        return "$"
    value = variables.get(name, "")
    if found["kind"] == "?" and not value:
        raise MissingVariableError(f"{name}: {found['text']}")
    return value or found["text"] or ""
