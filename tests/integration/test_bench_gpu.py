"""`make bench-gpu` runs without a GPU: the same code with tiny counts, and it says that no figure is a GPU figure."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu.group_process import PREFIX
from benchmarks.gpu.machine import Machine, find_machine
from benchmarks.gpu.pipeline_choice import STAND_IN, runtime_for_pipeline
from benchmarks.gpu.pipeline_rows import decode_rows, pipeline_rows
from benchmarks.gpu.plan import BUDGETS, TOTAL_SECONDS, Plan, plan_for
from benchmarks.gpu.report import REHEARSAL, bound, lines
from benchmarks.gpu.run_groups import Groups
from benchmarks.gpu.worker_rows import worker_rows

ROOT = Path(__file__).parents[2]
TINY = plan_for(has_gpu=False, tiny=True)
EIGHT_MINUTES = 480
MACHINE = Machine(
    gpu="", cores=2, python="Python", runtimes={"jax": "1"}, missing={"worker": ("celery",), "decode": ()}
)


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--rehearsal", "--tiny", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


@pytest.mark.slow
def test_the_command_prints_the_table_and_writes_it(tmp_path: Path) -> None:
    """A runtime that lacks a precision costs only that row."""
    pytest.importorskip("onnxruntime")
    done = _bench("--only", "network", "--runtime", "onnxruntime", "--json", str(tmp_path / "rows.json"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(REHEARSAL) == 2
    content = json.loads((tmp_path / "rows.json").read_text("utf-8"))
    assert content["note"] == REHEARSAL
    measured = {row["precision"]: row for row in content["rows"] if row["group"] == "network"}
    assert measured["float32"]["resident_per_second"] > 0
    assert measured["float16"]["difference"] < 0.01
    assert "no convolution in bfloat16" in measured["bfloat16"]["error"]
    assert "network onnxruntime bfloat16" in done.stdout


@pytest.mark.slow
def test_all_runtimes_return_the_same_scores() -> None:
    """TensorFlow, JAX and ONNX Runtime run the network with the same weights."""
    for package in ("tensorflow", "jax", "onnxruntime"):
        pytest.importorskip(package)
    groups = Groups(TINY, lambda _line: None)
    for runtime in ("tensorflow", "jax", "onnxruntime"):
        groups.run("network", runtime)
    first, *others = [row["scores"] for row in groups.rows if row["group"] == "scores"]
    assert len(others) == 2
    for scores in others:
        assert scores == pytest.approx(first, abs=1e-5)


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="decoder processes need Linux")


@pytest.mark.slow
@linux_only
def test_files_go_through_the_pipeline_in_every_way(tmp_path: Path) -> None:
    """In turn, with the network in a thread, by threads and by decoder processes; the report ends with a warning."""
    rows = list(pipeline_rows(TINY, tmp_path / "scans", STAND_IN))
    assert [row["way"] for row in rows if row["group"] == "pipeline"] == [
        "in turn, one thread",
        "network in a thread (decode_ahead)",
        "2 decode threads",
        "2 decoder processes",
    ]
    text = "\n".join(lines(MACHINE, TINY, rows))
    assert "Bound by" in text
    assert "The rows worker need celery." in text
    assert text.endswith(REHEARSAL)


@linux_only
@pytest.mark.slow
def test_decoding_and_a_whole_worker_are_measured(tmp_path: Path) -> None:
    """Each with threads or without decoders, and with decoder processes; every image is done."""
    rows = [*decode_rows(TINY, tmp_path / "decode"), *worker_rows(TINY, tmp_path, STAND_IN)]
    assert [(row["kind"], row["workers"]) for row in rows if row["group"] == "decode"] == [
        ("threads", 1),
        ("threads", 2),
        ("processes", 1),
        ("processes", 2),
    ]
    of_worker = {row["decoders"]: row for row in rows if row["group"] == "worker"}
    assert {decoders: row["images"] for decoders, row in of_worker.items()} == {0: 24, 2: 24}


@pytest.mark.slow
def test_a_group_that_fails_or_hangs_costs_no_other() -> None:
    """Its last words are the reason. The rows that it printed before are kept, and no process stays."""
    script = (
        "import sys, time\n"
        "group = sys.argv[1]\n"
        f"print('{PREFIX}' + '{{\"group\": \"' + group + '\", \"number\": 1}}', flush=True)\n"
        "if group == 'decode': sys.exit('CUDA_ERROR_UNKNOWN')\n"
        "if group == 'pipeline': time.sleep(600)\n"
    )
    groups = Groups(TINY, lambda _line: None, command=(sys.executable, "-c", script))
    groups.run("network")
    groups.run("decode")
    groups.run("pipeline", seconds=5)
    assert [(row["group"], row.get("number"), row.get("error", "")[:50]) for row in groups.rows] == [
        ("network", 1, ""),
        ("decode", 1, ""),
        ("decode", None, "failed with exit code 1: CUDA_ERROR_UNKNOWN"),
        ("pipeline", 1, ""),
        ("pipeline", None, "ended, because it took longer than its 5 s; the ro"),
    ]


def test_when_the_time_of_the_command_is_used_up_groups_are_left_out() -> None:
    """The whole command takes less than eight minutes, even if every group uses up its time."""
    groups = Groups(TINY, lambda _line: None, total_seconds=0)
    assert [row["error"] for row in groups.run("decode")] == ["left out: the time of the whole command is used up"]
    three_runtimes = 2 * BUDGETS["network"]
    assert sum(BUDGETS.values()) + three_runtimes <= TOTAL_SECONDS < EIGHT_MINUTES


def test_without_the_packages_of_nightread_the_driver_says_what_to_install() -> None:
    """The driver needs only Python: here a Python without any package runs it."""
    code = (
        "import sys; sys.path.insert(0, '.'); from benchmarks.gpu.__main__ import main; "
        "sys.exit(main(['--tiny', '--rehearsal', '--seconds', '0']))"
    )
    bare = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert "The rows decode and pipeline need numpy, pydicom" in bare.stdout
    assert "`make venv` installs all packages but CUDA" in bare.stdout
    assert bare.returncode == 1


def _network_row(runtime: str, device: str, per_second: float) -> dict[str, Any]:
    return {
        "group": "network",
        "runtime": runtime,
        "device": device,
        "precision": "float32",
        "batch": 64,
        "copied_per_second": per_second,
    }


def test_the_pipeline_is_measured_with_the_fastest_runtime_that_uses_the_gpu() -> None:
    """A runtime that runs on the CPU of a GPU host is no measure for it."""
    rows = [
        _network_row("tensorflow", "GPU", 5.0),
        _network_row("jax", "GPU", 7.0),
        _network_row("onnxruntime", "CPU", 9.0),
    ]
    assert runtime_for_pipeline(rows, ["tensorflow", "jax", "onnxruntime"]) == "jax"
    assert runtime_for_pipeline(rows[2:], ["onnxruntime"]) == STAND_IN


def test_the_slowest_part_bounds_the_pipeline() -> None:
    """Its share of the network alone is compared with the goal."""
    rows: list[dict[str, Any]] = [
        {"group": "pipeline network", "resident_per_second": 1000.0, "copied_per_second": 900.0},
        {"group": "decode", "per_second": 2000.0, "kind": "processes", "parent_microseconds": 100.0},
        {"group": "pipeline", "way": "15 decoder processes", "per_second": 850.0},
        {"group": "worker", "per_second": 500.0, "ledger_microseconds": 200.0},
    ]
    assert bound(rows) == (
        "Pipeline / network alone: 0.85 (goal 0.8: met), best with 15 decoder processes. "
        "Bound by copy to the device and network. Each part alone: copy to the device and network 900/s, "
        "network 1,000/s, decode 2,000/s, claim and record 5,000/s, hand-over from decoders 10,000/s."
    )
    assert bound([]) == "What bounds the pipeline is unknown, because its rows are missing."


def test_the_plan_of_a_gpu_host_survives_the_journey_to_a_group() -> None:
    """All batch sizes from 16 to 1,024 are measured there."""
    plan = plan_for(has_gpu=True)
    assert Plan.from_json(plan.to_json()) == plan
    assert sorted(plan.sizes) == [16, 32, 64, 128, 256, 512, 1024]
    assert not plan.rehearsal
    assert find_machine().cores > 0
