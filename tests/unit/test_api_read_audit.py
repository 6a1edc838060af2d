"""Each read of an image or a study over HTTP is in the audit table, once a minute."""

from pathlib import Path
from typing import Any

from api_client import ApiDriver, api_driver
from databases import NewSqlite
from ledger_driver import build_arrivals
from sqlalchemy import select

from db.tables import audit
from imaging.facts import Facts


def reads(api: ApiDriver) -> list[tuple[str, str, dict[str, Any]]]:
    """Return actor, action and detail of the reads."""
    wanted = select(audit.c.actor, audit.c.action, audit.c.detail).where(audit.c.action.like("%.read"))
    with api.database.read() as connection:
        return [(row.actor, row.action, row.detail) for row in connection.execute(wanted.order_by(audit.c.id))]


def test_reads_are_audited_once_a_minute_by_key_and_object(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """Lists, unknown ids and refused requests are not."""
    facts = Facts(study_instance_uid="1.2", series_instance_uid="1.2.3", sop_instance_uid="1.2.3.4")
    with api_driver(new_sqlite, tmp_path) as api:
        api.ledger_driver.register(build_arrivals(1))
        api.analyse(facts=facts)
        ann, bob = api.add_key("ann", "read"), api.add_key("bob", "read")
        sender = api.add_key("ct-room", "submit")
        paths = ("/v1/images/1", "/v1/images/1", "/v1/studies/1.2", "/v1/series/1.2.3", "/v1/results", "/v1/images/99")

        statuses = [api.client.get(path, headers=ann).status_code for path in paths]
        assert api.client.get("/v1/images/1", headers=sender).status_code == 403
        assert statuses == [200, 200, 200, 200, 200, 404]
        assert reads(api) == [("ann", "image.read", {"image": 1}), ("ann", "study.read", {"study": "1.2"})]

        api.client.get("/v1/images/1", headers=bob)
        api.ledger_driver.clock.advance(minutes=1)
        api.client.get("/v1/images/1", headers=ann)
        assert [(actor, action) for actor, action, _ in reads(api)[2:]] == [
            ("bob", "image.read"),
            ("ann", "image.read"),
        ]


def test_reading_a_series_of_two_studies_is_a_read_of_both(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """A sender may use one Series Instance UID in two studies."""
    with api_driver(new_sqlite, tmp_path) as api:
        for study in ("1.2", "1.3"):
            api.ledger_driver.register(build_arrivals(1))
            api.analyse(
                facts=Facts(study_instance_uid=study, series_instance_uid="1.2.3", sop_instance_uid=f"{study}.4")
            )

        found = api.client.get("/v1/series/1.2.3", headers=api.add_key("ann", "read")).json()

        assert found["study_instance_uids"] == ["1.2", "1.3"]
        assert reads(api) == [("ann", "study.read", {"study": "1.2"}), ("ann", "study.read", {"study": "1.3"})]


def test_a_sender_who_gets_its_result_reads_nothing(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """The response to a sent image costs no row."""
    with api_driver(new_sqlite, tmp_path) as api:
        api.analyse_next()
        assert api.post(b"image", wait=10).status_code == 200
        assert reads(api) == []
