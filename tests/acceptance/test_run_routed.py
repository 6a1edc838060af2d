"""Without `--model` the routing rules of the database select the model."""

from pathlib import Path

import pytest
from dicom_files import with_values
from nightread_process import images, run


@pytest.mark.slow
def test_routing_rules_select_the_images(tmp_path: Path) -> None:
    """Images that match a rule are analysed; other images are rejected with no_model."""
    state, inbox = tmp_path / "state", tmp_path / "inbox"
    inbox.mkdir()
    for number, part in enumerate(("CHEST", "HAND")):
        (inbox / f"{number}.dcm").write_bytes(with_values(number, BodyPartExamined=part))
    assert run("models", "activate", "phantom", "--when", "body_part=CHEST", "--state", state).returncode == 0

    assert run("run", inbox, "--state", state, "--workers", "1").returncode == 0

    in_order = sorted(images(state), key=lambda image: image["uri"])
    assert [(image["reason"], image["model"], image["matched"]) for image in in_order] == [
        (None, "phantom", {"body_part": "CHEST"}),
        ("no_model", None, None),
    ]
