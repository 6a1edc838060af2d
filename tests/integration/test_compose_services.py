"""The commands of docker-compose.yml, run unchanged against a real Redis and a real PostgreSQL."""

import ast
import json
import os
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from compose_file import SECRETS
from compose_processes import ComposeProcesses, wait_until
from compose_site import compose_site
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.retry import Retry

from db import queries
from db.engine import Database, open_database
from models.phantoms.dicom import PhantomStyle, phantom_file, write_phantoms
from models.phantoms.truth_file import PhantomTruth
from nightread.contract import ANALYSE_TASK, BATCH_QUEUE

PHANTOMS = 40
STAYING = ("redis", "producer", "dispatcher", "worker", "api", "flower")
LOGIN = SECRETS["flower_auth"]
ROLE = f"nightread_compose_{os.getpid()}"

CONTROL_CALLS = (
    "/api/worker/shutdown/{worker}",
    "/api/worker/pool/restart/{worker}",
    "/api/worker/pool/grow/{worker}?n=99",
    "/api/worker/pool/shrink/{worker}?n=1",
    "/api/worker/pool/autoscale/{worker}?min=1&max=99",
    "/api/worker/queue/add-consumer/{worker}?queue=x",
    "/api/worker/queue/cancel-consumer/{worker}?queue=x",
    "/api/task/apply/{task}",
    "/api/task/async-apply/{task}",
    "/api/task/send-task/{task}",
    "/api/task/abort/0",
    "/api/task/timeout/{task}?soft=1",
    "/api/task/rate-limit/{task}?ratelimit=1",
    "/api/task/revoke/0?terminate=true",
)
"""All calls of Flower's interface that change something."""

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[ComposeProcesses]:
    """Start all services with an empty inbox and wait until they are healthy."""
    variables = {"NIGHTREAD_WORKERS": "2", "NIGHTREAD_MODEL": "phantom"}
    server = request.getfixturevalue("postgres_server")
    with compose_site(server, tmp_path_factory.mktemp("compose"), ROLE, variables) as running:
        for name in STAYING:
            running.up(name)
        yield running


@pytest.fixture(scope="module")
def database(compose: ComposeProcesses) -> Iterator[Database]:
    """Open the database with the role that the services use."""
    opened = open_database(f"postgresql://{ROLE}:{SECRETS['postgres_password']}@{compose.postgres_address}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def truths(compose: ComposeProcesses, database: Database) -> list[PhantomTruth]:
    """Write scans and a text file into the inbox, and wait until every file has its outcome."""
    written = write_phantoms(compose.inbox, count=PHANTOMS, seed=7, style=PhantomStyle(size=128))
    (compose.inbox / "notes.txt").write_text("Not a scan.\n")

    def all_final() -> bool:
        tally = queries.tally(database)
        return tally.arrived == PHANTOMS + 1 and tally.unfinished == 0

    wait_until(all_final, 90, "every file has its outcome")
    return written


@pytest.mark.usefixtures("truths")
def test_every_file_has_its_outcome(database: Database) -> None:
    """The counts add up: each scan is done, the text is rejected with its reason, nothing failed."""
    tally = queries.tally(database)
    assert (tally.done, tally.rejected, tally.duplicate, tally.failed) == (PHANTOMS, 1, 0, 0)
    assert tally.adds_up
    assert [(state, reason) for state, reason, *_ in queries.reasons(database)] == [("rejected", "not_dicom")]


def test_predictions_agree_with_the_truth(database: Database, truths: list[PhantomTruth]) -> None:
    """The labels in PostgreSQL are right for at least 90 % of the scans."""
    done = queries.images(database, queries.ImageFilter(states=("done",)))
    found = {image["sop_instance_uid"]: image["label"] for image in done}
    assert set(found) == {truth.sop_instance_uid for truth in truths}
    assert sum(found[truth.sop_instance_uid] == truth.label for truth in truths) >= 0.9 * PHANTOMS


@pytest.mark.usefixtures("truths")
def test_flower_shows_the_batches(compose: ComposeProcesses) -> None:
    """Flower has the name, size and outcomes of every batch, and their sum is the number of files."""
    wait_until(lambda: _images_in(_batches(compose)) == PHANTOMS + 1, 30, "Flower has received the end of every batch")
    outcomes = [ast.literal_eval(task["result"]) for task in _batches(compose)]
    names = {task["name"] for task in _batches(compose)}
    assert all(name.startswith(ANALYSE_TASK) for name in names)
    assert names & {f"{ANALYSE_TASK}.failed", f"{ANALYSE_TASK}.some_failed"}  # the file that is no image
    assert sum(outcome.get("done", 0) for outcome in outcomes) == PHANTOMS
    assert sum(outcome.get("rejected", 0) for outcome in outcomes) == 1


def test_flower_shows_worker_and_queue(compose: ComposeProcesses) -> None:
    """The worker is shown with its two processes, the length of the queue is a number, and dispatch runs."""
    workers = _json(compose, "/api/workers?refresh=1")
    (queue,) = _json(compose, "/api/queues/length")["active_queues"]
    assert workers[f"nightread@{socket.gethostname()}"]["stats"]["pool"]["max-concurrency"] == 2
    assert (queue["name"], type(queue["messages"])) == (BATCH_QUEUE, int)
    assert _json(compose, "/api/queue")["line"].startswith("Dispatch is running: ")


@pytest.mark.parametrize("page", ["/", "/tasks", "/api/workers"])
def test_flower_asks_for_the_password(compose: ComposeProcesses, page: str) -> None:
    """No page opens without the password."""
    assert _status(compose, page, login=None) == HTTPStatus.UNAUTHORIZED
    assert _status(compose, page, login="operator:wrong") == HTTPStatus.UNAUTHORIZED
    assert _status(compose, page) == HTTPStatus.OK


def test_flower_refuses_foreign_host_names(compose: ComposeProcesses) -> None:
    """A name that a page bound to this address gets nothing, not even with the login."""
    for host in ("attacker.example", "nightread.example.attacker.example"):
        with closing(HTTPConnection("127.0.0.1", compose.flower_port, timeout=15)) as flower:
            flower.request("GET", "/api/workers", headers={"Host": host, "Authorization": _authorization(LOGIN)})
            response = flower.getresponse()
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (HTTPStatus.FORBIDDEN, None)


@pytest.mark.parametrize("call", CONTROL_CALLS)
def test_flower_refuses_every_call_that_controls(compose: ComposeProcesses, call: str) -> None:
    """Flower is read-only, also with the password: it can neither stop workers nor send, change or abort tasks."""
    path = call.format(worker=f"nightread@{socket.gethostname()}", task=ANALYSE_TASK)
    assert _status(compose, path, method="POST") == HTTPStatus.FORBIDDEN


def test_redis_is_as_configured(compose: ComposeProcesses) -> None:
    """Redis refuses clients without the password, writes its queue to disk, evicts nothing, and obeys no admin."""
    with Redis(port=compose.redis_port, retry=Retry(NoBackoff(), 0)) as anonymous, pytest.raises(AuthenticationError):
        anonymous.ping()
    with Redis(port=compose.redis_port, username="nightread", password=SECRETS["redis_password"]) as client:
        facts = client.info()
        assert (facts["aof_enabled"], facts["maxmemory_policy"]) == (1, "noeviction")
        assert int(facts["redis_version"].partition(".")[0]) >= 7
        for forbidden in ("CONFIG GET dir", "FLUSHALL", "SHUTDOWN", "ACL LIST", "KEYS *"):
            with pytest.raises(NoPermissionError):
                client.execute_command(forbidden)


def test_no_secret_in_any_argument(compose: ComposeProcesses) -> None:
    """`ps` shows no password and no key in the arguments of the services and their children."""
    groups = {process.pid for process in compose.running.values()}
    shown = [_arguments(entry) for entry in Path("/proc").glob("[0-9]*") if _group(entry) in groups]
    assert len(shown) >= len(STAYING) + 2
    assert not [secret for secret in SECRETS.values() if secret.encode() in b" ".join(shown)]


@pytest.mark.parametrize("name", [*STAYING, "postgres"])
def test_health_checks_pass(compose: ComposeProcesses, name: str) -> None:
    """The health check of each service succeeds."""
    assert compose.is_healthy(name)


@pytest.mark.parametrize("name", ["producer", "dispatcher", "flower"])
def test_slim_services_run_without_tensorflow(compose: ComposeProcesses, name: str) -> None:
    """No package of the extra `worker` can be imported in these services."""
    for module in ("tensorflow", "pydicom", "cv2"):
        shown = compose.execute(name, ["python", "-c", f"import {module}"]).stderr
        assert f"No module named '{module}'" in shown


def test_status_runs_in_a_container(compose: ComposeProcesses, database: Database) -> None:
    """`docker compose exec dispatcher nightread status` prints the counts of the database."""
    status = json.loads(compose.execute("dispatcher", ["nightread", "status", "--json"]).stdout)
    assert (status["arrived"], len(status["workers"])) == (queries.tally(database).arrived, 1)


def test_an_image_is_analysed_over_http(compose: ComposeProcesses, database: Database) -> None:
    """With the key of the secrets; without one the API refuses. The worker reads the file in the shared spool."""
    (extra, _) = phantom_file(seed=8, index=0, style=PhantomStyle(size=128))
    with closing(HTTPConnection("127.0.0.1", compose.api_port, timeout=70)) as connection:
        answers = []
        for headers in ({}, {"Authorization": f"Bearer {SECRETS['api_key']}"}):
            connection.request("POST", "/v1/images?wait=60", extra, {"Content-Type": "application/dicom", **headers})
            response = connection.getresponse()
            answers.append((response.status, json.loads(response.read())))
    assert [status for status, _ in answers] == [HTTPStatus.UNAUTHORIZED, HTTPStatus.OK]
    assert answers[1][1]["state"] == "done"
    assert queries.tally(database).arrived == PHANTOMS + 2


@pytest.mark.usefixtures("truths")
def test_images_of_a_patient_are_found_over_http(compose: ComposeProcesses) -> None:
    """The API hashes the number with the site key with which the workers hashed those of the images."""
    with closing(HTTPConnection("127.0.0.1", compose.api_port, timeout=70)) as connection:
        key = {"Authorization": f"Bearer {SECRETS['api_key']}"}
        connection.request("GET", "/v1/results?patient=PH0007-000000", headers=key)
        response = connection.getresponse()
        found = json.loads(response.read())
    assert (response.status, len(found["images"])) == (HTTPStatus.OK, 2), found


def test_a_second_dispatcher_is_refused(compose: ComposeProcesses) -> None:
    """A second dispatcher ends with a message, and the first continues."""
    second = compose.start(compose.services["dispatcher"])
    assert second.wait(30) == 2
    assert "Another dispatcher" in compose.log("dispatcher")
    assert compose.running["dispatcher"].poll() is None


def test_all_services_stop_in_time(compose: ComposeProcesses) -> None:
    """SIGTERM ends every service with exit code 0 in its grace period, and its health check fails. Runs last."""
    assert compose.down() == dict.fromkeys(["migrate", *STAYING], 0)
    os.utime(compose.state("dispatcher") / "dispatcher.alive", (0, 0))
    assert not [name for name in ("redis", "dispatcher", "flower") if compose.is_healthy(name)]


def _batches(compose: ComposeProcesses) -> list[dict[str, Any]]:
    return [task for task in _json(compose, "/api/tasks").values() if task["result"] is not None]


def _images_in(batches: list[dict[str, Any]]) -> int:
    return sum(ast.literal_eval(task["kwargs"])["images"] for task in batches)


def _json(compose: ComposeProcesses, path: str) -> dict[str, Any]:
    status, body = _ask(compose, path)
    assert status == HTTPStatus.OK
    parsed: dict[str, Any] = json.loads(body)
    return parsed


def _status(compose: ComposeProcesses, path: str, *, login: str | None = LOGIN, method: str = "GET") -> int:
    return _ask(compose, path, login=login, method=method)[0]


def _ask(compose: ComposeProcesses, path: str, *, login: str | None = LOGIN, method: str = "GET") -> tuple[int, bytes]:
    headers = {"Authorization": _authorization(login)} if login else {}
    with closing(HTTPConnection("127.0.0.1", compose.flower_port, timeout=15)) as flower:
        flower.request(method, path, headers=headers)
        response = flower.getresponse()
        return response.status, response.read()


def _authorization(login: str) -> str:
    return f"Basic {b64encode(login.encode()).decode()}"


def _group(entry: Path) -> int | None:
    try:
        return os.getpgid(int(entry.name))
    except ProcessLookupError:
        return None


def _arguments(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
