"""deploy/kubernetes follows the schemas of Kubernetes, and runs the same services as docker-compose.yml."""

import re
import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import skip_reasons
import yaml
from compose_file import DOTENV, REPOSITORY, Service, services
from jsonschema import Draft202012Validator
from kubernetes_manifests import FOLDER, Workload, kustomization, manifests, objects, workloads

from nightread import __version__

VERSIONS = ("1.29", "1.37")
"""The oldest and the newest release of Kubernetes for which the manifests are valid."""
COMPOSE = services({**DOTENV, "NIGHTREAD_WORKERS": "4"})
WORKLOADS = workloads()
OURS = [workload for workload in WORKLOADS.values() if workload.name not in ("redis", "postgres")]
MANIFESTS = [pytest.param(each, id=f"{file}-{each['kind']}-{each['metadata']['name']}") for file, each in manifests()]
CUSTOM: dict[str, dict[str, Any]] = {
    "ScaledObject": {
        "type": "object",
        "additionalProperties": False,
        "required": ["scaleTargetRef", "triggers"],
        "properties": {
            "scaleTargetRef": {"type": "object", "required": ["name"]},
            "minReplicaCount": {"type": "integer", "minimum": 0},
            "maxReplicaCount": {"type": "integer", "minimum": 1},
            "pollingInterval": {"type": "integer", "minimum": 1},
            "cooldownPeriod": {"type": "integer", "minimum": 0},
            "advanced": {"type": "object"},
            "fallback": {"type": "object", "required": ["failureThreshold", "replicas"]},
            "triggers": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["type", "metadata"],
                    "properties": {
                        "type": {"const": "prometheus"},
                        "metricType": {"enum": ["AverageValue", "Value"]},
                        "metadata": {
                            "type": "object",
                            "required": ["serverAddress", "query", "threshold"],
                            "additionalProperties": {"type": "string"},
                        },
                    },
                },
            },
        },
    },
    "ServiceMonitor": {
        "type": "object",
        "required": ["selector", "endpoints"],
        "properties": {"endpoints": {"type": "array", "items": {"type": "object", "required": ["port", "path"]}}},
    },
}
"""What is used of the resources of KEDA (keda.sh/v1alpha1) and of Prometheus' operator: `spec` by kind."""

each_workload = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda workload: workload.name)
each_of_ours = pytest.mark.parametrize("workload", OURS, ids=lambda workload: workload.name)


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_every_object_is_valid(manifest: dict[str, Any]) -> None:
    """By the schema of Kubernetes, in which no unknown field is allowed; or by that of its operator."""
    if manifest["kind"] in CUSTOM:
        problems = [
            error.message for error in Draft202012Validator(CUSTOM[manifest["kind"]]).iter_errors(manifest["spec"])
        ]
        assert problems == []
        return
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schema_rejects_what_kubernetes_rejects() -> None:
    """A misspelt field is an error."""
    broken = yaml.safe_load((FOLDER / "namespace.yaml").read_text())
    broken["metadata"]["label"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


def test_every_service_of_compose_is_there() -> None:
    """The schema is upgraded by a container that runs before the dispatcher."""
    assert set(WORKLOADS) == set(COMPOSE) - {"migrate"}
    (upgrade,) = WORKLOADS["dispatcher"].pod["initContainers"]
    assert upgrade["command"] == COMPOSE["migrate"].command


@each_workload
def test_commands_and_settings_are_those_of_compose(workload: Workload) -> None:
    """The tests of docker-compose.yml run these commands against real servers, so both must stay the same."""
    service = COMPOSE[workload.name]
    assert workload.container.get("command", []) == service.command
    ignored = {"NIGHTREAD_LOG_LEVEL", "NIGHTREAD_TIME_ZONE", "NIGHTREAD_API_HOSTS", "NIGHTREAD_FLOWER_HOSTS", "PGDATA"}
    wanted, found = (
        {k: v for k, v in each.items() if k not in ignored} for each in (service.environment, workload.environment)
    )
    assert found == wanted
    assert workload.secrets == service.secrets


@each_of_ours
def test_health_checks_are_those_of_compose(workload: Workload) -> None:
    """Except where Kubernetes asks the port itself."""
    probe = workload.container["livenessProbe"]
    if workload.name in ("api", "flower"):
        assert {"httpGet", "tcpSocket"} & set(probe)
    else:
        assert probe["exec"]["command"][:2] == ["sh", "-c"]
        assert probe["exec"]["command"][2] == COMPOSE[workload.name].health_command[-1]


@each_of_ours
def test_images_are_those_of_compose(workload: Workload) -> None:
    """The image has the name of that of Compose, and the release is named once, in kustomization.yaml."""
    tags = {image["name"]: image["newTag"] for image in kustomization()["images"]}
    assert {container["image"] for container in workload.all_containers} == {
        COMPOSE[workload.name].image.partition(":")[0]
    }
    assert tags[workload.container["image"]] == __version__


@each_workload
def test_pods_have_no_rights(workload: Workload) -> None:
    """They satisfy the Pod Security Standard `restricted`, and get no token and no variables of services."""
    assert workload.pod["automountServiceAccountToken"] is False
    assert workload.pod["enableServiceLinks"] is False
    context = workload.pod["securityContext"]
    assert (context["runAsNonRoot"], context["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert context["runAsUser"] > 0
    for container in workload.all_containers:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert objects("Namespace")["nightread"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@each_workload
def test_resources_are_bounded(workload: Workload) -> None:
    """Each container asks for what it needs and has a limit of memory; all volumes that are mounted exist."""
    known = {volume["name"] for volume in workload.pod["volumes"]}
    known |= {claim["metadata"]["name"] for claim in workload.manifest["spec"].get("volumeClaimTemplates", [])}
    for container in workload.all_containers:
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert {mount["name"] for mount in container["volumeMounts"]} <= known
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in workload.pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims <= set(objects("PersistentVolumeClaim"))


@each_of_ours
def test_only_workers_may_be_many(workload: Workload) -> None:
    """All others are replaced by stopping the old pod first: the dispatcher and the API exist once."""
    spec = workload.manifest["spec"]
    if workload.name.startswith("worker"):
        assert "replicas" not in spec
        assert workload.pod["terminationGracePeriodSeconds"] == COMPOSE[workload.name].grace_seconds
    else:
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@each_of_ours
def test_only_what_must_talk_talks(workload: Workload) -> None:
    """A pod reaches Redis or PostgreSQL if and only if its service in Compose is in their network."""
    service: Service = COMPOSE[workload.name]
    assert ("nightread/queue" in workload.labels) == ("queue" in service.networks)
    assert ("nightread/database" in workload.labels) == ("database" in service.networks)


def test_nothing_else_is_allowed() -> None:
    """All traffic is denied first; the servers admit their clients only, and only poller, sender and watchdog leave."""
    policies = {name: each["spec"] for name, each in objects("NetworkPolicy").items()}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for server, label in (("redis", "nightread/queue"), ("postgres", "nightread/database")):
        assert policies[server]["ingress"][0]["from"] == [{"podSelector": {"matchLabels": {label: "client"}}}]
    open_to_all = [name for name, spec in policies.items() if {} in spec.get("egress", [])]
    assert open_to_all == ["stores"]
    assert policies["stores"]["podSelector"]["matchExpressions"][0]["values"] == ["poller", "sender", "watchdog"]


def test_workers_are_scaled_by_the_queue() -> None:
    """KEDA asks for the images that more workers would finish earlier."""
    scaled = objects("ScaledObject")["worker"]["spec"]
    (trigger,) = scaled["triggers"]
    assert scaled["scaleTargetRef"]["name"] in WORKLOADS
    assert 1 <= scaled["minReplicaCount"] < scaled["maxReplicaCount"]
    assert re.findall(r"nightread_\w+", trigger["metadata"]["query"]) == ["nightread_unfinished_images"]
    (endpoint,) = objects("ServiceMonitor")["nightread"]["spec"]["endpoints"]
    assert (endpoint["path"], endpoint["port"]) == ("/metrics", objects("Service")["api"]["spec"]["ports"][0]["name"])


def test_every_file_is_named_once() -> None:
    """In kustomization.yaml, those of optional services as comments."""
    text = (FOLDER / "kustomization.yaml").read_text("utf-8")
    named = re.findall(r"^  (?:# )?- ([\w-]+\.yaml)\b", text, re.MULTILINE)
    assert sorted(named) == sorted({file for file, _ in manifests()})
    optional = set(re.findall(r"^  # - ([\w-]+)\.yaml\b", text, re.MULTILINE))
    assert optional == {"receiver", "poller", "sender", "watchdog", "worker-gpu", "autoscaling"}


def test_the_settings_are_those_of_compose() -> None:
    """The examples in both places are the same."""
    assert (FOLDER / "nightread.toml").read_text() == (REPOSITORY / "deploy" / "nightread.toml").read_text()


def test_kubectl_builds_it() -> None:
    """The tags of the images are set, and the settings file is in a map whose name changes with its content."""
    if not shutil.which("kubectl"):
        pytest.skip(skip_reasons.KUBECTL)
    built = subprocess.run(["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, check=True).stdout
    kinds = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(built)}
    worker = kinds["Deployment", "worker"]["spec"]["template"]["spec"]
    assert worker["containers"][0]["image"] == f"nightread-worker:{__version__}"
    assert re.fullmatch(r"settings-\w{10}", worker["volumes"][1]["configMap"]["name"])
    assert all(each["metadata"].get("namespace", "nightread") == "nightread" for each in kinds.values())
