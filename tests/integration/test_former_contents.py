"""Files that an earlier release analysed stay known after the upgrade, and new files are hashed with BLAKE3 only."""

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
from databases import downgrade
from dicom_files import phantom, with_values
from ledger_driver import LedgerDriver
from sqlalchemy import MetaData, insert, literal, select, text, update
from worker_driver import WorkerDriver

from db import ledger, queries, schema
from db.engine import Database
from db.queries import ImageFilter
from db.tables import State
from nightread.content_digest import content_of
from worker import former_contents


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox and a network that accepts every image."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def upgraded(worker_driver: WorkerDriver, **files: bytes) -> None:
    """Make the rows of these files those of an earlier release, and upgrade its database."""
    database = worker_driver.ledger_driver.database
    downgrade(database, "0019")
    old = MetaData()
    with database.read() as connection:
        old.reflect(connection)
    rows, works, owned = (old.tables[name] for name in ("instances", "work", "contents"))
    for number, data in enumerate(files.values(), 1):
        digest = sha256(data).hexdigest()
        database.write(lambda c, n=number, d=digest: c.execute(update(rows).where(rows.c.id == n).values(sha256=d)))
        done = select(literal(digest), works.c.id).where(works.c.instance_id == number, works.c.state == "done")
        database.write(lambda c, done=done: c.execute(insert(owned).from_select(["sha256", "work_id"], done)))
    schema.upgrade(database)


def png() -> bytes:
    """Return a PNG, which has no UID."""
    return cv2.imencode(".png", np.arange(4096, dtype=np.uint8).reshape(64, 64))[1].tobytes()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the lengths of the files that are hashed with SHA-256 from now on."""
    lengths: list[int] = []

    def former_content_of(data: bytes) -> str:
        lengths.append(len(data))
        return sha256(data).hexdigest()

    monkeypatch.setattr(former_contents, "former_content_of", former_content_of)
    return lengths


def test_files_of_before_the_upgrade_are_duplicates_after_it(worker_driver: WorkerDriver, hashed: list[int]) -> None:
    """By their SOP Instance UID or, without one, by their bytes; they keep the identity that the database knows."""
    old = {"a.dcm": phantom(1), "b.png": png(), "c.txt": b"no scan"}
    worker_driver.put(**old)
    worker_driver.analyse(worker_driver.context(accept_raster=True))
    assert worker_driver.ledger_driver.states() == [State.DONE, State.DONE, State.REJECTED]
    upgraded(worker_driver, **old)
    assert hashed == []

    worker_driver.put(**{f"again-{name}": data for name, data in old.items()}, **{"new.dcm": phantom(3)})
    worker_driver.analyse(worker_driver.context(accept_raster=True))

    copies = worker_driver.ledger_driver.work()[3:]
    assert [(row.state, row.duplicate_of) for row in copies[:2]] == [("duplicate", 1), ("duplicate", 2)]
    assert [row.state for row in copies[2:]] == ["rejected", "done"]
    contents = [row.content for row in worker_driver.ledger_driver.instances()]
    assert contents[3:5] == contents[:2] == [sha256(data).hexdigest() for data in list(old.values())[:2]]
    assert contents[6] == content_of(phantom(3))
    assert sorted(hashed) == sorted(len(old[name]) for name in ("a.dcm", "b.png"))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="decoder processes need Linux")
def test_decoders_know_no_former_identity_but_the_worker_does(worker_driver: WorkerDriver, hashed: list[int]) -> None:
    """An image without a UID that a decoder has read is read again by the process that has the database."""
    nameless = with_values(1, SOPInstanceUID="")
    worker_driver.put(a=nameless)
    worker_driver.analyse(worker_driver.context())
    upgraded(worker_driver, a=nameless)

    worker_driver.put(b=nameless)
    context = worker_driver.context(decoders=1)
    context.open_decode_pool()
    assert context.decode_pool is not None
    try:
        assert worker_driver.analyse(context) == {"duplicate": 1}
    finally:
        context.decode_pool.close()
    assert hashed == [len(nameless)]


def test_a_new_version_of_an_old_image_is_analysed(worker_driver: WorkerDriver, hashed: list[int]) -> None:
    """It has the UID of an image with a SHA-256, so its own SHA-256 is computed; the identity is the BLAKE3-256."""
    worker_driver.put(a=phantom(1))
    worker_driver.analyse(worker_driver.context())
    upgraded(worker_driver, a=phantom(1))

    newer = phantom(1)[:-2] + b"\1\1"
    worker_driver.put(b=newer)
    worker_driver.analyse(worker_driver.context())

    assert worker_driver.ledger_driver.states() == [State.DONE, State.DONE]
    old, new = worker_driver.ledger_driver.instances()
    assert (old.superseded_by, new.content) == (new.id, content_of(newer))
    assert hashed == [len(newer)]


def test_a_file_that_is_gone_before_it_is_read_again_is_analysed_as_it_was(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was cannot be said any more; the result is that of the bytes that were read."""
    worker_driver.put(a=phantom(1))
    worker_driver.analyse(worker_driver.context())
    upgraded(worker_driver, a=phantom(1))
    worker_driver.put(b=phantom(1))
    context = worker_driver.context()
    known = ledger.former_uids

    def remove_file(database: Database, uids: Iterable[str]) -> set[str]:
        (worker_driver.inbox / "b").unlink()
        return known(database, uids)

    monkeypatch.setattr(ledger, "former_uids", remove_file)
    assert worker_driver.analyse(context) == {"done": 1}
    assert worker_driver.ledger_driver.instances()[1].content == content_of(phantom(1))


def test_without_old_results_no_file_is_hashed_twice(worker_driver: WorkerDriver, hashed: list[int]) -> None:
    """A process looks once, and never again after it found none; while there are some, it looks every hour."""
    worker_driver.put(**{"a.png": png()})
    worker_driver.analyse(worker_driver.context(accept_raster=True))
    assert hashed == []
    database, clock = worker_driver.ledger_driver.database, worker_driver.ledger_driver.clock
    assert not ledger.has_former_contents(database)

    upgraded(worker_driver, **{"a.png": png()})
    assert ledger.has_former_contents(database)
    context = worker_driver.context(accept_raster=True)
    worker_driver.put(**{"b.png": png() + b"b"})
    worker_driver.analyse(context)
    database.write(lambda connection: connection.execute(text("DELETE FROM contents WHERE length(content) = 64")))
    clock.advance(hours=1)
    worker_driver.put(**{"c.png": png() + b"c"})
    worker_driver.analyse(context)
    assert hashed == [len(png()) + 1]


def test_either_identity_finds_the_images(worker_driver: WorkerDriver) -> None:
    """With the name of the algorithm or without it; both images have one row in the results."""
    worker_driver.put(a=phantom(1))
    worker_driver.analyse(worker_driver.context())
    upgraded(worker_driver, a=phantom(1))
    worker_driver.put(b=phantom(2), c=phantom(1))
    worker_driver.analyse(worker_driver.context())
    old, new = sha256(phantom(1)).hexdigest(), content_of(phantom(2))

    def found(**wanted: object) -> list[int]:
        return list(queries.image_ids(worker_driver.ledger_driver.database, ImageFilter(**wanted)))  # type: ignore[arg-type]

    assert found(contents=(f"sha256:{old}",)) == found(contents=(old,)) == found(sha256=old) == [1, 3]
    assert found(contents=(new,)) == found(contents=(new.removeprefix("blake3:"),)) == [2]
    assert found(contents=(new, old)) == [1, 2, 3]
    assert found(contents=(f"blake3:{old}",)) == found(sha256=new.removeprefix("blake3:")) == []
    rows = list(queries.images(worker_driver.ledger_driver.database))
    shown = [(row["content"], row["sha256"]) for row in rows]
    assert shown == [(f"sha256:{old}", old), (new, None), (f"sha256:{old}", old)]
