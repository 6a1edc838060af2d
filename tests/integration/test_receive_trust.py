"""The receiver stores who sent each image, so that no sender replaces or withdraws the images of another one."""

from pathlib import Path
from typing import Any

import pytest
from cstore_receiver import NAME, RunningReceiver, running_receiver
from dicom_peers import storescu
from sqlalchemy import select

from db import ledger
from db.engine import Database
from db.store_tables import senders
from db.tables import instances, sources
from nightread.clock import utc_now
from nightread.sources import Caller
from producer.cstore.allow_list import AllowList

pytestmark = pytest.mark.servers

CT = {"ae_title": "CT1", "address": "127.0.0.1", "trust": "radiology"}


def stored(receiver: RunningReceiver) -> list[tuple[Any, ...]]:
    """Return title, address and group of the sender of each image, in the order of arrival."""
    statement = (
        select(senders.c.calling_ae, senders.c.address, senders.c.trust)
        .join(instances, instances.c.sender_id == senders.c.id)
        .order_by(instances.c.id)
    )
    with receiver.database.read() as connection:
        return [tuple(row) for row in connection.execute(statement)]


def test_each_image_has_its_sender(tmp_path: Path, database: Database, scan: Path) -> None:
    """One row per sender, however many associations it opens; the group is that of its entry of `callers`."""
    callers = [CT, {"address": "127.0.0.0/8"}]
    with running_receiver(tmp_path, database, callers=callers, trust="hospital") as receiver:
        for title in ("CT1", "STRANGER", "CT1"):
            assert storescu(receiver.port, "-aet", title, scan).returncode == 0
        ct, stranger = ("CT1", "127.0.0.1", "radiology"), ("STRANGER", "127.0.0.1", None)
        assert stored(receiver) == [ct, stranger, ct]
        with database.read() as connection:
            assert len(connection.execute(select(senders)).all()) == 2
            assert connection.execute(select(sources.c.name, sources.c.trust)).all() == [(NAME, "hospital")]


def test_another_group_of_a_sender_is_stored_with_its_next_image(
    tmp_path: Path, database: Database, scan: Path
) -> None:
    """After a change of the settings and a restart."""
    for group in ("radiology", "wards", None):
        with running_receiver(tmp_path, database, callers=[CT | {"trust": group}]) as receiver:
            assert storescu(receiver.port, "-aet", "CT1", scan).returncode == 0
            assert set(stored(receiver)) == {("CT1", "127.0.0.1", group)}


def test_a_silent_sender_has_its_new_group_as_soon_as_the_receiver_runs(
    tmp_path: Path, database: Database, scan: Path
) -> None:
    """A note of the group withdraws its images before it sends the next one; a caller that left keeps its group."""
    with running_receiver(tmp_path, database, callers=[CT | {"trust": None}]) as receiver:
        assert storescu(receiver.port, "-aet", "CT1", scan).returncode == 0
    for callers, group in (([CT], "radiology"), ([{"ae_title": "MR1"}], "radiology"), ([CT | {"trust": None}], None)):
        with running_receiver(tmp_path, database, callers=callers) as receiver:
            assert stored(receiver) == [("CT1", "127.0.0.1", group)]


def test_a_file_that_is_found_again_is_of_no_group(tmp_path: Path, database: Database, scan: Path) -> None:
    """Its sender is unknown: it may be the one caller of another group. Files of several addresses stay apart."""
    callers = [{"address": "127.0.0.1", "trust": "wards"}]
    with running_receiver(tmp_path, database, callers=callers, trust="radiology") as receiver:
        assert storescu(receiver.port, "-aet", "W1", scan).returncode == 0
        folder = receiver.files[0].parent
    found = ("1234abcd-" + 32 * "1", "1234abcd-" + 32 * "2", "5678abcd-" + 32 * "3", 32 * "4")
    for name in found:
        (folder / f"{name}.dcm").write_bytes(scan.read_bytes())
    for _ in range(2):
        with running_receiver(tmp_path, database, callers=callers, trust="radiology") as receiver:
            marks = ["1234abcd", "1234abcd", 32 * "4", "5678abcd"]
            assert stored(receiver)[1:] == [("", mark, "") for mark in marks]


def test_a_source_loses_a_group_that_the_settings_no_longer_name(database: Database) -> None:
    """Its id stays."""
    known = {"name": "ward", "kind": "folder", "root": "/ward", "now": utc_now()}
    assert len({ledger.ensure_source(database, trust=group, **known) for group in (None, "a", "b", None)}) == 1  # type: ignore[arg-type]
    with database.read() as connection:
        assert connection.execute(select(sources.c.trust)).scalars().all() == [None]


@pytest.mark.parametrize(
    ("title", "address", "group"),
    [
        ("CT1", "10.1.0.5", "radiology"),
        ("CT1", "::ffff:10.1.0.5", "radiology"),
        ("CT1", "10.1.0.6", "wards"),
        ("ct1", "10.1.0.5", "wards"),
        ("MR1", "10.2.0.1", None),
    ],
)
def test_the_group_is_that_of_the_first_entry_for_title_and_address(
    title: str, address: str, group: str | None
) -> None:
    """An entry without a group leaves the choice to later ones."""
    allowed = AllowList(
        [
            Caller(address="10.0.0.0/8"),
            Caller(ae_title="CT1", address="10.1.0.5", trust="radiology"),
            Caller(address="10.1.0.0/16", trust="wards"),
        ]
    )
    assert allowed.trust_group(title, address) == group


def test_without_an_allow_list_no_sender_has_a_group() -> None:
    """That of the receiver counts."""
    assert AllowList(()).trust_group("CT1", "10.1.0.5") is None
