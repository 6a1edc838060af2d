"""Read the manifests of deploy/kubernetes."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "deploy" / "kubernetes"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A Deployment or StatefulSet with one container, and perhaps one that runs before it."""

    name: str
    manifest: dict[str, Any]

    @property
    def pod(self) -> dict[str, Any]:
        """Return the specification of its pods."""
        found: dict[str, Any] = self.manifest["spec"]["template"]["spec"]
        return found

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of its pods."""
        found: dict[str, str] = self.manifest["spec"]["template"]["metadata"]["labels"]
        return found

    @property
    def container(self) -> dict[str, Any]:
        """Return the container that stays."""
        (found,) = self.pod["containers"]
        return dict(found)

    @property
    def all_containers(self) -> list[dict[str, Any]]:
        """Return the containers, with those that run before."""
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of the container."""
        return {entry["name"]: entry["value"] for entry in self.container.get("env", [])}

    @property
    def secrets(self) -> set[str]:
        """Return the names of the files below /run/secrets."""
        volumes = [volume["secret"] for volume in self.pod["volumes"] if "secret" in volume]
        return {item["path"] for volume in volumes for item in volume["items"]}


@cache
def manifests() -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return each object with the name of its file; nobody may change them."""
    paths = [path for path in sorted(FOLDER.glob("*.yaml")) if path.name != "kustomization.yaml"]
    return tuple((path.name, each) for path in paths for each in yaml.safe_load_all(path.read_text("utf-8")))


def objects(kind: str) -> dict[str, dict[str, Any]]:
    """Return the objects of one kind by name."""
    return {each["metadata"]["name"]: each for _, each in manifests() if each["kind"] == kind}


def workloads() -> dict[str, Workload]:
    """Return all Deployments and StatefulSets by name."""
    found = objects("Deployment") | objects("StatefulSet")
    return {name: Workload(name=name, manifest=manifest) for name, manifest in found.items()}


def kustomization() -> dict[str, Any]:
    """Return kustomization.yaml."""
    parsed: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
    return parsed
