"""`nightread query` finds images by their bytes, and shows both digests of a file that is still there."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from ledger_driver import LedgerDriver, build_arrivals

from api import sha256 as api_sha256
from nightread.content_digest import content_of

Nightread = Callable[..., tuple[int, str, str]]
NEW, OLD = b"a new file", b"a file of before the upgrade"


@pytest.fixture(autouse=True)
def analysed(ledger_driver: LedgerDriver, inbox: Path) -> None:
    """Image 1 was analysed by an earlier release, image 2 by this one; both files are still there."""
    for name, data, content in (("old.dcm", OLD, sha256(OLD).hexdigest()), ("new.dcm", NEW, content_of(NEW))):
        (inbox / name).write_bytes(data)
        ledger_driver.register(build_arrivals(1, uri=name))
        ledger_driver.analyse_all(content=content)


def _query(nightread: Nightread, *conditions: str) -> list[dict[str, object]]:
    code, text, _ = nightread("query", "--format", "json", *conditions)
    assert code == 0
    return list(json.loads(text))


def test_a_file_finds_its_images_by_its_bytes(nightread: Nightread, tmp_path: Path) -> None:
    """Wherever it lies, and whichever release analysed it; several files are alternatives."""
    copies = [tmp_path / "1", tmp_path / "2", tmp_path / "3"]
    for path, data in zip(copies, (OLD, NEW, b"another one"), strict=True):
        path.write_bytes(data)
    found = [[image["image_id"] for image in _query(nightread, "--file", str(path))] for path in copies]
    assert found == [[1], [2], []]
    assert len(_query(nightread, "--file", str(copies[0]), "--file", str(copies[1]))) == 2
    assert nightread("query", "--file", str(tmp_path / "none"))[0] == 2


def test_an_identity_finds_its_images(nightread: Nightread) -> None:
    """As `content` shows it, or only its digits; a SHA-256 finds what an earlier release analysed."""
    old, new = sha256(OLD).hexdigest(), content_of(NEW)
    for option, value, image_id in (
        ("--content", new, 2),
        ("--content", new.removeprefix("blake3:").upper(), 2),
        ("--content", f"sha256:{old}", 1),
        ("--sha256", old, 1),
        ("--sha256", f"sha256:{old}", 1),
    ):
        assert [image["image_id"] for image in _query(nightread, option, value)] == [image_id]
    for wrong in (("--content", "blake3:12"), ("--sha256", "12"), ("--sha256", new)):
        code, _, error = nightread("query", *wrong)
        assert code == 2
        assert "64 hex digits" in error


def test_the_sha256_of_a_file_that_is_still_there_is_true(nightread: Nightread, inbox: Path) -> None:
    """It is computed from the file, if its bytes are the analysed ones; programs of before go on to work."""
    old, new = _query(nightread)
    assert (old["content"], old["sha256"]) == (f"sha256:{sha256(OLD).hexdigest()}", sha256(OLD).hexdigest())
    assert (new["content"], new["sha256"]) == (content_of(NEW), sha256(NEW).hexdigest())
    assert [image["sha256"] for image in _query(nightread, "--frames")] == [old["sha256"], new["sha256"]]
    assert _query(nightread, "--without-sha256")[1]["sha256"] is None

    (inbox / "new.dcm").write_bytes(b"other bytes")
    assert _query(nightread)[1] == {**new, "sha256": None}
    (inbox / "new.dcm").unlink()
    assert _query(nightread)[1] == {**new, "sha256": None}


def test_many_files_are_read_only_on_request(nightread: Nightread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither too many images nor too many bytes; a note says how to get the digests."""
    for name, most in (("MOST_IMAGES", 1), ("MOST_BYTES", 5)):
        with monkeypatch.context() as patched:
            patched.setattr(api_sha256, name, most)
            code, text, note = nightread("query", "--format", "jsonl")
            assert code == 0
            assert [json.loads(line)["sha256"] for line in text.splitlines()] == [sha256(OLD).hexdigest(), None]
            assert "--with-sha256" in note
            asked = _query(nightread, "--with-sha256")
            assert [image["sha256"] for image in asked] == [sha256(data).hexdigest() for data in (OLD, NEW)]
