"""A row whose file was replaced by another file of the same name no longer speaks for its path."""

from dataclasses import replace

import pytest
from databases import downgrade
from ledger_driver import LedgerDriver, build_arrivals
from sqlalchemy import event, text

from db import ledger, queries, schema
from db.engine import Database
from db.ledger import Arrival
from db.migrate import migrate
from db.queries import ImageFilter
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason


def versions(number: int) -> list[Arrival]:
    """Return files of the same name with different sizes."""
    (first,) = build_arrivals(1, uri="image.dcm", mtime_ns=1)
    return [replace(first, size=first.size + version) for version in range(number)]


def analysed(ledger_driver: LedgerDriver, arrival: Arrival, *, content: str, **fields: object) -> None:
    """Register one arrival and record its outcome; its SOP Instance UID is that of its bytes."""
    ledger_driver.register([arrival])
    facts = Facts(sop_instance_uid=f"1.{content}", series_instance_uid="1.2")
    ledger_driver.analyse_all(content=content * 64, facts=facts, **fields)


def replaced_by(ledger_driver: LedgerDriver) -> list[int | None]:
    """Return for each arrival, oldest first, which arrival replaced it."""
    return [row.replaced_by for row in ledger_driver.instances()]


def test_another_image_of_the_same_name_replaces_the_earlier_row(ledger_driver: LedgerDriver) -> None:
    """The earlier row is marked as soon as the other file is registered; a file of another name is not."""
    first, second, third = versions(3)
    analysed(ledger_driver, first, content="1")
    analysed(ledger_driver, build_arrivals(1, uri="other.dcm")[0], content="2")
    ledger_driver.register([second])
    assert replaced_by(ledger_driver) == [3, None, None]

    ledger_driver.analyse_all(content="3" * 64)
    analysed(ledger_driver, third, content="4", state=State.REJECTED, reason=Reason.TRUNCATED)

    assert replaced_by(ledger_driver) == [3, None, 4, None]
    assert queries.replaced(ledger_driver.database) == 2


def test_a_touched_file_does_not_replace_its_own_bytes(ledger_driver: LedgerDriver) -> None:
    """The later arrival is a duplicate of the earlier one, which has the result of these bytes."""
    first, touched = versions(2)
    analysed(ledger_driver, first, content="1")
    analysed(ledger_driver, touched, content="1")

    assert ledger_driver.states() == [State.DONE, State.DUPLICATE]
    assert replaced_by(ledger_driver) == [None, None]


@pytest.mark.parametrize(("state", "reason"), [(State.REJECTED, Reason.TRUNCATED), (State.FAILED, Reason.TIMEOUT)])
def test_a_touched_file_without_a_result_is_not_replaced(
    ledger_driver: LedgerDriver, state: State, reason: Reason
) -> None:
    """The later arrival is no duplicate, because the earlier one has no result; its bytes are the same all the same."""
    first, touched, other = versions(3)
    analysed(ledger_driver, first, content="1", state=state, reason=reason)
    analysed(ledger_driver, touched, content="1", state=state, reason=reason)
    assert replaced_by(ledger_driver) == [None, None]

    analysed(ledger_driver, other, content="2")
    assert replaced_by(ledger_driver) == [3, 3, None]


def test_a_touched_duplicate_is_not_replaced(ledger_driver: LedgerDriver) -> None:
    """Its original has another name."""
    first, touched = versions(2)
    analysed(ledger_driver, build_arrivals(1, uri="original.dcm")[0], content="1")
    analysed(ledger_driver, first, content="1")
    analysed(ledger_driver, touched, content="1")

    assert ledger_driver.states() == [State.DONE, State.DUPLICATE, State.DUPLICATE]
    assert replaced_by(ledger_driver) == [None, None, None]


def test_rejected_bytes_may_come_back(ledger_driver: LedgerDriver) -> None:
    """Copied back with a new time, they are those of the first row, which another file had replaced meanwhile."""
    first, second, third = versions(3)
    analysed(ledger_driver, first, content="1", state=State.REJECTED, reason=Reason.TRUNCATED)
    analysed(ledger_driver, second, content="2")
    analysed(ledger_driver, third, content="1", state=State.REJECTED, reason=Reason.TRUNCATED)

    assert replaced_by(ledger_driver) == [None, 3, None]


def test_an_outcome_of_bytes_that_are_no_longer_there_brings_nothing_back(ledger_driver: LedgerDriver) -> None:
    """The first file was restored with its time while a worker read a copy of the second one."""
    first, second, copy = versions(3)
    analysed(ledger_driver, first, content="1")
    analysed(ledger_driver, second, content="2")
    ledger_driver.register([copy])
    ledger_driver.register([first])
    ledger_driver.analyse_all(content="2" * 64)

    assert replaced_by(ledger_driver) == [None, 3, 1]


def test_a_copy_under_another_name_does_not_bring_back_a_replaced_row(ledger_driver: LedgerDriver) -> None:
    """The path of the original has another file now, although its bytes exist elsewhere."""
    first, second = versions(2)
    analysed(ledger_driver, first, content="1")
    analysed(ledger_driver, second, content="2")
    analysed(ledger_driver, build_arrivals(1, uri="copy.dcm")[0], content="1")

    assert ledger_driver.states() == [State.DONE, State.DONE, State.DUPLICATE]
    assert replaced_by(ledger_driver) == [2, None, None]


def test_the_earlier_bytes_may_come_back(ledger_driver: LedgerDriver) -> None:
    """Copied back with a new time they are a duplicate of the first row, which speaks for the path again."""
    first, second, third = versions(3)
    analysed(ledger_driver, first, content="1")
    analysed(ledger_driver, second, content="2")
    analysed(ledger_driver, third, content="1")

    assert replaced_by(ledger_driver) == [None, 3, None]


def test_the_earlier_file_may_come_back_with_its_time(ledger_driver: LedgerDriver) -> None:
    """Then it is no new arrival: the row that is known speaks for the path again."""
    first, second = versions(2)
    analysed(ledger_driver, first, content="1")
    analysed(ledger_driver, second, content="2")
    other = build_arrivals(1, uri="other.dcm")[0]
    analysed(ledger_driver, other, content="3")

    assert ledger_driver.register([first, other]).new == 0

    assert replaced_by(ledger_driver) == [None, 1, None]


def test_a_touched_copy_comes_back_with_its_original(ledger_driver: LedgerDriver) -> None:
    """Two rows have these bytes: that of the file and that of the touched file."""
    first, touched, other = versions(3)
    analysed(ledger_driver, first, content="1")
    analysed(ledger_driver, touched, content="1")
    analysed(ledger_driver, other, content="2")

    ledger_driver.register([first])

    assert replaced_by(ledger_driver) == [None, None, 1]


def test_no_statement_per_image_is_needed_where_nothing_was_replaced(ledger_driver: LedgerDriver) -> None:
    """One search for all images of the batch finds that there is nothing to do."""
    ledger_driver.register(build_arrivals(50))
    statements: list[str] = []
    event.listen(ledger_driver.database.writer, "before_cursor_execute", lambda *given: statements.append(given[2]))

    ledger_driver.analyse_all()

    assert ["UPDATE" in statement for statement in statements if "replaced_by" in statement] == [False]


def test_the_same_name_in_another_source_replaces_nothing(ledger_driver: LedgerDriver) -> None:
    """A source and a path together are a place."""
    first, second = versions(2)
    analysed(ledger_driver, first, content="1")
    ledger_driver.source_id = ledger.ensure_source(
        ledger_driver.database, name="archive", kind="folder", root="/archive", now=ledger_driver.clock()
    )
    analysed(ledger_driver, second, content="2")

    assert replaced_by(ledger_driver) == [None, None]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ImageFilter(), [1, 2, 3]),
        (ImageFilter(current=True), [1, 2, 3]),
        (ImageFilter(replaced=True), [1]),
        (ImageFilter(replaced=False), [2, 3]),
        (ImageFilter(replaced=True, states=("rejected",)), []),
    ],
    ids=str,
)
def test_replaced_images_can_be_searched(ledger_driver: LedgerDriver, wanted: ImageFilter, found: list[int]) -> None:
    """They stay current: the same name may be used for other images, such as IM0001.dcm of every study."""
    first, second = versions(2)
    analysed(ledger_driver, first, content="1")
    analysed(ledger_driver, second, content="2")
    analysed(ledger_driver, build_arrivals(1)[0], content="3")

    assert [image["image_id"] for image in queries.images(ledger_driver.database, wanted)] == found


def test_an_upgrade_marks_the_rows_that_were_replaced_before(empty_database: Database) -> None:
    """A row was not replaced if the newest arrival of its name has the same bytes, whatever became of them.

    The last one of `x` is a copy of its first one; that of `z` has other bytes than the first one. All of `r` are
    rejected, and only the second one has other bytes. The rows of `d` are duplicates of `y`.
    """
    schema.upgrade(empty_database)
    with empty_database.writer.begin() as connection:
        connection.execute(_SOURCE)
        connection.execute(
            _INSTANCE,
            [
                {"id": number, "name": name, "key": name, "size": number, "content": content}
                for number, (name, *_, content) in enumerate(_ROWS, 1)
            ],
        )
        connection.execute(
            _WORK, [{"id": number, "state": state, "of": of} for number, (_, state, of, _) in enumerate(_ROWS, 1)]
        )
        connection.execute(text("UPDATE instances SET replaced_by = NULL"))
    _downgrade_and_upgrade(empty_database)

    with empty_database.read() as connection:
        rows = connection.execute(text("SELECT replaced_by FROM instances ORDER BY id")).scalars().all()
    assert rows == [None, 3, None, None, 6, None, None, 9, None, None, None]


def _downgrade_and_upgrade(database: Database) -> None:
    downgrade(database, "0008")
    with database.writer.begin() as connection:
        migrate(connection, "0009")


_ROWS = (
    ("x", "done", None, "1"),
    ("x", "done", None, "2"),
    ("x", "duplicate", 1, "1"),
    ("y", "done", None, "3"),
    ("z", "done", None, "4"),
    ("z", "done", None, "5"),
    ("r", "rejected", None, "6"),
    ("r", "rejected", None, "7"),
    ("r", "rejected", None, "6"),
    ("d", "duplicate", 4, "3"),
    ("d", "duplicate", 4, "3"),
)
_SOURCE = text(
    "INSERT INTO sources (id, name, kind, root, created_at) VALUES (1, 'a', 'folder', '/a', '2026-11-05 22:00:00')"
)
_INSTANCE = text(
    "INSERT INTO instances (id, source_id, uri, uri_key, size, mtime_ns, arrived_at, content)"
    " VALUES (:id, 1, :name, :key, :size, 1, '2026-11-05 22:00:00', :content)"
)
_WORK = text(
    "INSERT INTO work (instance_id, ordinal, state, attempts, deaths, expiries, priority, alone, duplicate_of)"
    " VALUES (:id, 0, :state, 1, 0, 0, 5, false, :of)"
)
