"""Values are read from their columns as they were written, on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import bindparam, insert, select, text

from db.bulk import execute_many
from db.engine import Database
from db.tables import audit

_BERLIN = ZoneInfo("Europe/Berlin")
_TWICE = datetime(2026, 10, 25, 2, 30, tzinfo=_BERLIN)
"""In the hour that comes twice: as equal to the second one as Python can tell."""


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_both_hours_of_the_end_of_summer_time_are_distinguished(database: Database, zone: str) -> None:
    """This holds in every time zone of the server and of the values."""
    first, second = _TWICE, _TWICE.replace(fold=1)
    given = [
        first,
        second,
        first.astimezone(UTC),
        second.astimezone(UTC),
        first.astimezone(timezone(timedelta(hours=5))),
    ]

    with database.writer.begin() as connection:
        if not database.is_sqlite:
            connection.execute(text(f"SET LOCAL TIME ZONE '{zone}'"))
        rows = [(moment, "test", "test", {}) for moment in given]
        execute_many(connection, insert(audit), ("at", "actor", "action", "detail"), rows)
        read = connection.execute(select(audit.c.at).order_by(audit.c.id)).scalars().all()
        found = [connection.scalar(_AT, {"at": moment}) for moment in given]

    assert [moment.astimezone(UTC) for moment in read] == [moment.astimezone(UTC) for moment in given]
    assert found == [3, 2, 3, 2, 3]


def test_json_comes_back_as_it_was(database: Database) -> None:
    """Numbers keep every bit, and text may use every script."""
    values = {"scores": [0.1 + 0.2, 1e-300, 0.0, -1.5, 3], "name": "Ärzte 医師 \n\"'\\", "none": None, "yes": True}

    database.write(lambda connection: connection.execute(insert(audit), _entry(values)))

    with database.read() as connection:
        assert connection.execute(select(audit.c.detail)).scalar_one() == values


def _entry(detail: object) -> dict[str, object]:
    return {"at": datetime(2026, 11, 5, tzinfo=UTC), "actor": "test", "action": "test", "detail": detail}


_AT = select(text("count(*)")).select_from(audit).where(audit.c.at == bindparam("at"))
