"""The alert rules and the dashboard in deploy/ agree with the metrics; a real Prometheus loads and answers them."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import skip_reasons
from api_server import running_api
from compose_processes import free_port, wait_until
from databases import NewSqlite
from ledger_driver import LedgerDriver, build_arrivals
from living_parts import all_alive

from api.metrics.exposition import metrics_text
from db import ledger
from db.engine import Database
from db.tables import State
from nightread.clock import utc_now
from nightread.nights import nights_of
from nightread.reasons import Reason
from nightread.settings import load_settings

ROOT = Path(__file__).parents[2]
FILES = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "nightread.json"


class RealClock:
    """The real time, for a ledger whose metrics a real Prometheus reads."""

    __call__ = staticmethod(utc_now)


@pytest.fixture
def busy(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[Database]:
    """A database in which every metric has a value: all parts work, an image waits, one failed, others are done."""
    with new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database:
        now = utc_now()
        source_id = ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=now)
        driver = LedgerDriver(database=database, clock=RealClock(), source_id=source_id)  # type: ignore[arg-type]
        all_alive(database, now=now, sources=["inbox"])
        ledger.report_source(database, source_id, {}, now=now)
        driver.register(build_arrivals(8))
        driver.analyse_all()
        driver.register(build_arrivals(1))
        driver.analyse_all(state=State.FAILED, reason=Reason.TIMEOUT)
        driver.register(build_arrivals(1))
        yield database


def program(name: str) -> str:
    """Return the path of a program of Prometheus; skip if it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(skip_reasons.PROMETHEUS)
    return path


def promtool(*arguments: str | Path, given: bytes = b"") -> str:
    """Run promtool, which must succeed, and return what it prints."""
    done = subprocess.run(
        [program("promtool"), *map(str, arguments)], input=given, capture_output=True, check=False, timeout=120
    )
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, output
    return output


def queries() -> list[str]:
    """Return all queries of the dashboard."""
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_every_name_in_rules_and_dashboard_is_a_metric(busy: Database, tmp_path: Path) -> None:
    """A misspelt name would never raise an alarm."""
    settings = load_settings(state_dir=tmp_path)
    text = metrics_text(busy, settings, nights_of(settings), utc_now()).decode()
    metrics = set(re.findall(r"^(nightread_\w+)", text, re.MULTILINE))
    used = set(re.findall(r"nightread_\w+", "\n".join([*queries(), *_expressions()])))
    assert used - metrics == set()
    assert len(used) > 25


def _expressions() -> Iterator[str]:
    """Yield the expressions of the rules, without their texts."""
    rules = (FILES / "nightread.rules.yml").read_text("utf-8")
    yield from re.findall(r"expr: (.*?)\n        (?:for|labels)", rules, re.DOTALL)


@pytest.mark.servers
def test_promtool_finds_no_fault(busy: Database, tmp_path: Path) -> None:
    """Names and units of the metrics follow the conventions, and the files are valid."""
    settings = load_settings(state_dir=tmp_path)
    promtool("check", "metrics", given=metrics_text(busy, settings, nights_of(settings), utc_now()))
    assert "21 rules found" in promtool("check", "rules", FILES / "nightread.rules.yml")
    promtool("check", "config", "--syntax-only", FILES / "prometheus.yml")


@pytest.mark.servers
def test_the_rules_fire_when_they_should() -> None:
    """The cases are in a file of promtool: a quiet night raises none, a killed part raises its own."""
    promtool("test", "rules", FILES / "nightread.rules.test.yml")


@contextmanager
def running_prometheus(folder: Path, api_port: int) -> Iterator[str]:
    """Run Prometheus with the files of deploy/, on another port and with shorter intervals."""
    config = (FILES / "prometheus.yml").read_text().replace("8080", str(api_port))
    config = re.sub(r"(interval|timeout): \d+s", r"\1: 3s", config)
    (folder / "prometheus.yml").write_text(config)
    shutil.copy(FILES / "nightread.rules.yml", folder)
    port = free_port()
    arguments = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output)
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_real_prometheus_answers_every_query_of_the_dashboard(busy: Database, tmp_path: Path) -> None:
    """It reads the API itself, and evaluates all rules without an error."""
    (tmp_path / "prometheus").mkdir()
    with running_api(busy, tmp_path) as api, running_prometheus(tmp_path / "prometheus", api.port) as url:
        asked = queries()
        wait_until(lambda: not _unanswered(url, asked), seconds=120, what=f"all queries have data: {tmp_path}")
        wait_until(lambda: _health(url) == {"ok"}, seconds=60, what="all rules were evaluated")


def _unanswered(url: str, asked: list[str]) -> list[str]:
    try:
        return [query for query in asked if not _result(url, query)]
    except requests.RequestException:
        return asked


def _result(url: str, query: str) -> list[Any]:
    answer = requests.get(f"{url}/query", params={"query": query}, timeout=10).json()
    result: list[Any] = answer.get("data", {}).get("result", [])
    return result


def _health(url: str) -> set[str]:
    groups = requests.get(f"{url}/rules", timeout=10).json()["data"]["groups"]
    return {rule["health"] for group in groups for rule in group["rules"]}
