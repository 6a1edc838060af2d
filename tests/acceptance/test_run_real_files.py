"""`nightread run` over real DICOM files of many manufacturers.

The bundle `phantom` was made for chest films, so most tests use --any-domain.
"""

import csv
import json
from collections import Counter
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import skip_reasons
from nightread_process import DATA, images, run

REJECTED = {
    "README.md": "not_dicom",
    "manifest.csv": "not_dicom",
    "deid/deid.dicom": "not_dicom",
    "dicomParser/wave_dfl": "non_image",
    "fo-dicom/DICOMDIR": "non_image",
    "dicompyler-core/rtplan.dcm": "non_image",
    "dcmjs/sample-sr.dcm": "non_image",
    "fo-dicom/GH178.dcm": "no_pixel_data",
    "dcmjs/no-meta-length-test.dcm": "no_pixel_data",
    "pydicom-data/liver_deflate.dcm": "unsupported_syntax",
}

_CUT_BEHIND_THE_LAST_FRAME = "pydicom-data/emri_small_jpeg_2k_lossless_too_short.dcm"
"""Its end is missing, but no byte of a frame: it is done with a remark, although the manifest calls it truncated."""
_CAPTURES = (
    "pydicom-data/JLSL_08_07_0_1F.dcm",
    "torchxrayvision/1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm",
    "torchxrayvision/Fake_MONOHR1.dcm",
)
"""Grey secondary captures that name no other modality than that of a chest film, or none."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the state folder of the run that all tests share."""
    if not (DATA / "manifest.csv").is_file():
        pytest.skip(skip_reasons.NO_SHARED_DATA)
    return tmp_path_factory.mktemp("real") / "state"


@pytest.fixture(scope="module")
def first_run(state: Path) -> CompletedProcess[str]:
    """Run once over the folder and return the finished process."""
    return run("run", DATA, "--state", state, "--model", "phantom", "--any-domain", "--json")


def test_every_file_has_exactly_one_right_outcome(first_run: CompletedProcess[str], state: Path) -> None:
    """Images of the manifest are done; each other file is rejected with the expected reason."""
    with (DATA / "manifest.csv").open(newline="") as file:
        good = {row["path"] for row in csv.DictReader(file) if row["category"] == "image_ok"}
    files = [str(path.relative_to(DATA)) for path in DATA.rglob("*") if path.is_file()]
    rows = images(state)
    found = {row["uri"].removeprefix(f"{DATA}/"): (row["state"], row["reason"]) for row in rows}
    good.add(_CUT_BEHIND_THE_LAST_FRAME)
    expected = dict.fromkeys(good, ("done", None)) | {path: ("rejected", reason) for path, reason in REJECTED.items()}
    assert first_run.returncode == 0, first_run.stderr
    assert (sorted(files), len(rows)) == (sorted(found), len(files))
    assert found == expected


def test_the_tally_is_printed_as_json(first_run: CompletedProcess[str], state: Path) -> None:
    """It adds up, has the reasons, and agrees with the database."""
    printed = json.loads(first_run.stdout)
    states = Counter(row["state"] for row in images(state))
    reasons = {reason["reason"]: reason["images"] for reason in printed["reasons"]}
    assert {name: printed[name] for name in ("arrived", "done", "duplicate", "rejected", "failed")} == {
        "arrived": states.total(),
        "done": states["done"],
        "duplicate": states["duplicate"],
        "rejected": states["rejected"],
        "failed": 0,
    }
    assert (printed["waiting"], printed["queued"], printed["running"], printed["adds_up"]) == (0, 0, 0, True)
    assert reasons == Counter(REJECTED.values())
    assert printed["new"] == printed["arrived"]


def test_any_domain_marks_every_result(first_run: CompletedProcess[str], state: Path) -> None:
    """Nobody can take a nodule in an MR head for a finding."""
    done = [row for row in images(state) if row["state"] == "done"]
    assert done
    assert all("any_domain" in (row["remarks"] or ()) for row in done)


@pytest.mark.slow
def test_only_chest_films_get_a_result_of_the_chest_film_bundle(state: Path, tmp_path: Path) -> None:
    """MR, CT, ultrasound, photographs and all other kinds are out of scope; a chest film is not."""
    done = run("run", DATA, "--state", tmp_path / "state", "--model", "phantom", "--json")
    assert done.returncode == 0, done.stderr
    outcomes = {
        row["uri"].removeprefix(f"{DATA}/"): (row["state"], row["reason"], row["remarks"])
        for row in images(tmp_path / "state")
    }
    foreign = {path: found for path, found in outcomes.items() if path not in REJECTED}
    film = foreign.pop("fo-dicom/CR-MONO1-10-chest")
    captured = {path: foreign.pop(path) for path in _CAPTURES}

    assert film == ("done", None, ["near_domain_edge"])
    assert set(captured.values()) == {("rejected", "secondary_capture", None)}
    assert set(foreign.values()) == {("rejected", "out_of_domain", None)}
    assert "pydicom-data/emri_small.dcm" in foreign
    assert "fo-dicom/JPEGwithIcon.dcm" in foreign
    assert len(foreign) > 30


def test_a_second_run_finds_no_new_files(first_run: CompletedProcess[str], state: Path) -> None:
    """No file is registered or analysed again, and the outcomes do not change."""
    before = images(state)
    as_json = run("run", DATA, "--state", state, "--model", "phantom", "--any-domain", "--json")
    as_text = run("run", DATA, "--state", state, "--model", "phantom", "--any-domain")
    assert (as_json.returncode, json.loads(as_json.stdout)["new"], as_text.returncode) == (0, 0, 0)
    assert "No new files. Outcomes of" in as_text.stdout
    assert images(state) == before


def test_the_audit_finds_no_violation(first_run: CompletedProcess[str], state: Path) -> None:
    """The database is consistent, and each file of the folder has its row."""
    audit = run("audit", "--state", state, "--json")
    found = json.loads(audit.stdout)
    assert (audit.returncode, found["violations"]) == (0, []), audit.stdout
    assert [(folder["without_row"], folder["gone"]) for folder in found["folders"]] == [([], [])]
