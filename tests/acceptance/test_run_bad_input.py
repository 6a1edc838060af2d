"""`nightread run` over a folder with good scans and all kinds of bad files."""

import ctypes
import os
import shutil
import sys
from pathlib import Path

import pytest
from dicom_files import (
    dicomdir,
    in_syntax,
    phantom,
    structure_set,
    structured_report,
    with_values,
    without_pixels,
)
from nightread_process import images, started, tally, wait_until

EXPECTED = {
    b"good-1.dcm": ("done", None),
    b"good-2.dcm": ("done", None),
    b"notes.txt": ("rejected", "not_dicom"),
    b"empty.dcm": ("rejected", "empty"),
    b"only-preamble.dcm": ("rejected", "truncated"),
    b"truncated.dcm": ("rejected", "truncated"),
    b"truncated-header.dcm": ("rejected", "truncated"),
    b"no-pixels.dcm": ("rejected", "no_pixel_data"),
    b"DICOMDIR": ("rejected", "non_image"),
    b"report.dcm": ("rejected", "non_image"),
    b"structures.dcm": ("rejected", "non_image"),
    b"unknown-syntax.dcm": ("rejected", "unsupported_syntax"),
    b"huge.dcm": ("rejected", "too_large"),
    b"locked.dcm": ("failed", "unreadable"),
    b"link-out.dcm": ("rejected", "symlink"),
    b"link-inside.dcm": ("duplicate", None),
    b"link-to-nothing.dcm": ("failed", "missing_file"),
    b"link-to-nothing-outside.dcm": ("rejected", "symlink"),
    b"link-to-itself.dcm": ("rejected", "symlink"),
    b"link-to-folder": ("rejected", "symlink"),
    b"two words & 100%.dcm": ("done", None),
    b"new\nline.dcm": ("done", None),
    b"caf\xe9.dcm": ("done", None),
    b"nul.dcm": ("done", None),
    b"long.dcm": ("done", None),
    b"many-nuls.dcm": ("done", None),
    b"gone/1.dcm": ("failed", "missing_file"),
    b"gone/2.dcm": ("failed", "missing_file"),
}


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with good and bad files."""
    folder = tmp_path_factory.mktemp("bad") / "inbox"
    (folder / "gone").mkdir(parents=True)
    contents = {
        b"good-1.dcm": phantom(1),
        b"good-2.dcm": phantom(2),
        b"notes.txt": b"Not a scan.\n",
        b"empty.dcm": b"",
        b"only-preamble.dcm": phantom(3)[:132],
        b"truncated.dcm": phantom(4)[:-1000],
        b"truncated-header.dcm": phantom(5)[:600],
        b"no-pixels.dcm": without_pixels(6),
        b"DICOMDIR": dicomdir(),
        b"report.dcm": structured_report(),
        b"structures.dcm": structure_set(),
        b"unknown-syntax.dcm": in_syntax(7, "1.2.826.0.1.3680043.8.498.1"),
        b"huge.dcm": with_values(8, Rows=60_000, Columns=60_000),
        b"locked.dcm": phantom(9),
        b"two words & 100%.dcm": phantom(10),
        b"new\nline.dcm": phantom(11),
        b"caf\xe9.dcm": phantom(12),
        b"nul.dcm": with_values(13, BodyPartExamined="CH\0EST", SOPInstanceUID="1.2\0.3", PatientID="\0"),
        b"long.dcm": with_values(14, Modality="D" * 500, SOPInstanceUID="1." * 400 + "1", ImageType="X" * 9000),
        b"many-nuls.dcm": with_values(15, StudyInstanceUID="\0" * 200, StudyDate="\0" * 8, AccessionNumber="\0"),
        b"gone/1.dcm": phantom(16),
        b"gone/2.dcm": phantom(17),
    }
    for name, content in contents.items():
        (folder / os.fsdecode(name)).write_bytes(content)
    (folder / "locked.dcm").chmod(0)
    (folder.parent / "outside.dcm").write_bytes(phantom(18))
    (folder / "link-out.dcm").symlink_to("../outside.dcm")
    (folder / "link-inside.dcm").symlink_to("good-1.dcm")
    (folder / "link-to-nothing.dcm").symlink_to("nothing.dcm")
    (folder / "link-to-nothing-outside.dcm").symlink_to("/nowhere/nothing.dcm")
    (folder / "link-to-itself.dcm").symlink_to("link-to-itself.dcm")
    (folder / "kept").mkdir()
    (folder / "link-to-folder").symlink_to("kept")
    return folder


@pytest.fixture(scope="module")
def state(inbox: Path) -> Path:
    """Run as a user without root permissions, delete a folder meanwhile, and return the state folder."""
    state, output = inbox.parent / "state", inbox.parent / "output"
    arguments = ("run", inbox, "--state", state, "--model", "phantom", "--any-domain", "--json", "--workers", "1")
    with started(*arguments, output=output, preexec_fn=_without_privileges, BATCH_IMAGES=8) as process:
        wait_until(
            lambda: (counts := tally(state)) is not None and counts.arrived == len(EXPECTED),
            seconds=30,
            what=output.read_text,
        )
        shutil.rmtree(inbox / "gone")
        assert process.wait(90) == 1, output.read_text()
    return state


def test_each_file_is_one_row_with_its_reason(state: Path, inbox: Path) -> None:
    """Bad files do not stop the run, and all good files are done."""
    rows = {row["uri"]: (row["state"], row["reason"]) for row in images(state)}
    if rows[f"{inbox}/good-1.dcm"][0] == "duplicate":  # duplicate of its link, which was registered first
        rows[f"{inbox}/good-1.dcm"], rows[f"{inbox}/link-inside.dcm"] = ("done", None), ("duplicate", None)
    assert rows == {_shown(inbox, name): outcome for name, outcome in EXPECTED.items()}


def test_failed_files_were_tried_three_times(state: Path) -> None:
    """Transient errors are retried; defective images are not."""
    tries = {(row["state"], row["attempts"]) for row in images(state)}
    assert tries == {("done", 1), ("rejected", 1), ("duplicate", 1), ("failed", 3)}


def test_the_link_inside_is_a_duplicate_of_its_target(state: Path, inbox: Path) -> None:
    """One of the two is done, and the other is its duplicate."""
    rows = {row["uri"]: row for row in images(state)}
    pair = [rows[f"{inbox}/{name}"] for name in ("good-1.dcm", "link-inside.dcm")]
    done, copy = sorted(pair, key=lambda row: str(row["state"]))
    assert (done["state"], copy["state"], copy["duplicate_of"]) == ("done", "duplicate", done["image_id"])


def test_facts_of_wild_headers_fit_their_columns(state: Path, inbox: Path) -> None:
    """The database has no NUL character and no value that is too long."""
    rows = {row["uri"]: row for row in images(state)}
    nul, long = rows[f"{inbox}/nul.dcm"], rows[f"{inbox}/long.dcm"]
    assert "\0" not in "".join(str(value) for value in nul.values())
    assert len(str(long["sop_instance_uid"] or "")) <= 64
    assert len(str(long["modality"] or "")) <= 16


def test_details_quote_no_file(state: Path) -> None:
    """Details have no path and no value of a file."""
    details = " ".join(row["detail"] or "" for row in images(state))
    assert not [word for word in (str(state.parent), "dcm", "DDDD") if word in details]


def _shown(inbox: Path, name: bytes) -> str:
    encoded = {
        b"new\nline.dcm": "new%0Aline.dcm",
        b"caf\xe9.dcm": "caf%E9.dcm",
        b"two words & 100%.dcm": "two words & 100%25.dcm",
    }
    return f"{inbox}/{encoded.get(name) or name.decode()}"


def _without_privileges() -> None:
    """Drop the capabilities with which root reads every file; called before exec."""
    if os.geteuid() == 0 and sys.platform == "linux":
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
