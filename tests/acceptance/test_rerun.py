"""A night is analysed again by a second bundle, also after a kill, and both are compared."""

import csv
import json
import os
import shutil
import signal
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from dicom_files import phantom
from nightread_process import alive, database_of, run, started, wait_until

from db import queries
from models.bundle import save_bundle
from models.catalogue import find_bundle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
OLD, NEW = "phantom@1.1", "phantom@9.0"
SCANS = 12


def with_second_bundle(folder: Path) -> None:
    """Write a bundle that calls nearly nothing clear: its threshold is 0.0001 and its calibration is flatter."""
    bundle = find_bundle("phantom", ())
    bold = replace(bundle.postprocessing, thresholds={"nodule": 0.0001}, temperature=2.0)
    made = folder / "bundles" / "phantom-9"
    made.mkdir(parents=True)
    shutil.copy(bundle.onnx_file, made)
    save_bundle(replace(bundle, version="9.0", postprocessing=bold), made)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """The state folder of a night with SCANS images, analysed by the shipped bundle."""
    inbox, state = tmp_path / "inbox", tmp_path / "state"
    inbox.mkdir()
    for index in range(SCANS):
        (inbox / f"{index}.dcm").write_bytes(phantom(index))
    with_second_bundle(state)
    ended = run("run", inbox, "--state", state, "--model", OLD, "--workers", "1", seconds=200)
    assert ended.returncode == 0, ended.stderr
    return state


def results(state: Path, model: str) -> dict[int, dict[str, Any]]:
    """Return the results of a model by image, as `nightread query` prints them."""
    ended = run("query", "--model", model, "--format", "json", "--without-sha256", "--state", state)
    return {row["image_id"]: row for row in json.loads(ended.stdout)}


def test_flips_are_those_counted_by_hand(night: Path, tmp_path: Path) -> None:
    """One image is gone: it is left out with the reason. The first results stay, and the rest is compared."""
    before = results(night, OLD)
    (tmp_path / "inbox" / "5.dcm").unlink()
    arguments = ("--night", "last", "--state", night)
    ended = run("rerun", "--model", NEW, "--workers", "1", "--json", *arguments, seconds=200)
    planned = json.loads(ended.stdout)
    assert ended.returncode == 0, ended.stderr
    gone = [image_id for image_id, row in before.items() if row["uri"].endswith("/5.dcm")]
    assert planned["left_out"] == [{"image_id": gone[0], "reason": "missing_file"}]
    assert planned["results"] == [{"model": NEW, "state": "done", "reason": None, "images": SCANS - 1}]
    assert results(night, OLD) == before

    first, second = before, results(night, NEW)
    flips = {image_id for image_id in second if first[image_id]["label"] != second[image_id]["label"]}
    assert flips
    ended = run("compare", OLD, NEW, "--format", "json", *arguments)
    compared = json.loads(ended.stdout)
    assert {flip["image_id"] for flip in compared["flips"]} == flips
    assert (compared["images"], compared["only_first"], compared["only_second"]) == (SCANS - 1, 1, 0)
    finding = compared["discordance"][0]["counts"]
    by_hand = [(first[image_id]["label"] != "clear", row["label"] != "clear") for image_id, row in second.items()]
    assert finding == {
        "both": by_hand.count((True, True)),
        "only_first": by_hand.count((True, False)),
        "only_second": by_hand.count((False, True)),
        "neither": by_hand.count((False, False)),
    }
    page = tmp_path / "page.html"
    ended = run("compare", OLD, NEW, "--format", "csv", "-o", page, "--pictures", "2", *arguments, seconds=200)
    assert [int(row["image_id"]) for row in csv.DictReader(StringIO(ended.stdout))] == [
        flip["image_id"] for flip in compared["flips"]
    ]
    html = page.read_text("utf-8")
    assert html.count('alt="heat map of') == 2 * min(2, len(flips))
    assert "http" not in html


def test_a_killed_rerun_goes_on_where_it_ended(night: Path, tmp_path: Path) -> None:
    """Everything is killed when the first row is done; the same command does the rest, and the counts add up."""
    arguments = ("rerun", "--model", NEW, "--workers", "1", "--night", "last", "--state", night)
    output = tmp_path / "output"
    before = results(night, OLD)

    def done() -> int:
        with database_of(night) as database:
            return sum(1 for _ in queries.images(database, queries.ImageFilter(models=(NEW,), states=("done",))))

    # A batch of one image, so that the kill comes between two batches.
    with started(*arguments, output=output, BATCH_IMAGES=1, start_new_session=True) as process:
        wait_until(lambda: done() > 0, seconds=120, what=output.read_text)
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGKILL)
        for member in family:
            if member.is_running():
                member.kill()
    _, left = psutil.wait_procs(family, timeout=20)
    assert not alive(left)
    ended = run(*arguments, "--json", seconds=200)
    assert ended.returncode == 0, ended.stderr
    assert done() == SCANS
    assert len(results(night, NEW)) == SCANS
    assert results(night, OLD) == before
    with database_of(night) as database:
        assert queries.tally(database).to_json()["done"] == SCANS
        assert not list(queries.violations(database))


def test_a_promotion_is_undone_by_one_command(night: Path) -> None:
    """The rules have the new model, then the old one again; the comparison is in the audit table."""
    state = ("--state", night)
    run("models", "activate", OLD, "--when", "modality=CR,DX", *state)
    assert (
        run("rerun", "--model", NEW, "--shadow", "--workers", "1", "--night", "last", *state, seconds=200).returncode
        == 0
    )
    ended = run("models", "promote", NEW, "--replaces", OLD, "--night", "last", "--yes", "--json", *state)
    promoted = json.loads(ended.stdout)
    assert [rule["model"] for rule in promoted["rules"]] == [NEW], ended.stderr
    assert promoted["comparison"]["images"] == SCANS
    with database_of(night) as database:
        promotion = queries.last_promotion(database, NEW)
    assert promotion is not None
    assert promotion.comparison["discordance"] == promoted["comparison"]["discordance"]
    ended = run("models", "rollback", NEW, "--json", *state)
    assert [rule["model"] for rule in json.loads(ended.stdout)["rules"]] == [OLD], ended.stderr
    assert run("models", "rollback", OLD, *state).returncode == 2
