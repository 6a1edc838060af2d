"""Without `--model` the rules in the record decide, also those that change while workers run."""

from pathlib import Path

from dicom_files import with_values
from nightread_process import images, run


def test_images_go_where_the_rules_send_them(tmp_path: Path) -> None:
    """A rule that was activated takes its images; the others are rejected, and the next rule takes what is new."""
    state, inbox = tmp_path / "state", tmp_path / "inbox"
    inbox.mkdir()
    for number, part in enumerate(("CHEST", "HAND")):
        (inbox / f"{number}.dcm").write_bytes(with_values(number, BodyPartExamined=part))
    assert run("models", "activate", "phantom", "--when", "body_part=CHEST", "--state", state).returncode == 0

    assert run("run", inbox, "--state", state, "--workers", "1").returncode == 0

    assert [(image["reason"], image["model"], image["matched"]) for image in images(state)] == [
        (None, "phantom", {"body_part": "CHEST"}),
        ("no_model", None, None),
    ]
