"""What the ledger writes beside outcomes: entries of the audit, keys, priorities, codes, heartbeats and contents."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from ledger_driver import LedgerDriver, SettableClock, build_arrivals, build_outcome
from sqlalchemy import ColumnElement, select, update

from db import ledger
from db.engine import Database
from db.ledger import Heartbeat, PartKind
from db.ledger.alarms import Finding, note_findings
from db.ledger.occurrences import forget_occurrences
from db.ledger.result_actions import note_examined, results_since
from db.store_tables import api_keys, heartbeats, occurrences
from db.tables import State, audit, bundles, instances
from imaging.facts import Facts
from nightread.alarm_rules import AlarmRule
from nightread.label_codes import LabelCode
from nightread.reasons import Reason

KEY, OTHER_KEY = "1" * 64, "2" * 64
SHA256, BLAKE3 = "a" * 64, f"blake3:{'b' * 64}"


def entries(database: Database) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return actor, action and detail of all entries of the audit, oldest first."""
    statement = select(audit.c.actor, audit.c.action, audit.c.detail).order_by(audit.c.id)
    with database.read() as connection:
        return [(row.actor, row.action, row.detail) for row in connection.execute(statement)]


def add_key(database: Database, clock: SettableClock, name: str) -> bool:
    return ledger.add_api_key(
        database, name=name, token_hash="f" * 64, scopes=("read",), expires_at=None, actor="ann", now=clock()
    )


def test_keys_are_audited_without_their_token(database: Database, clock: SettableClock) -> None:
    """A second key of the same name, and the revocation of an unknown key, change and write nothing."""
    assert [add_key(database, clock, "pacs"), add_key(database, clock, "pacs")] == [True, False]
    revoked = [ledger.revoke_api_key(database, name, actor="bob", now=clock()) for name in ("other", "pacs", "pacs")]
    assert revoked == [False, True, False]
    assert entries(database) == [
        ("ann", "keys.add", {"name": "pacs", "scopes": "read", "expires_at": None}),
        ("bob", "keys.revoke", {"name": "pacs"}),
    ]
    with database.read() as connection:
        (key,) = connection.execute(select(api_keys)).all()
    assert (key.created_by, key.created_at, key.revoked_at) == ("ann", clock(), clock())


def test_an_entry_has_its_time_actor_action_and_detail(database: Database, clock: SettableClock) -> None:
    """Commands that change no row of work write it by themselves."""
    ledger.write_entry(database, "images.compare", {"images": [3]}, actor="ann", now=clock())

    assert entries(database) == [("ann", "images.compare", {"images": [3]})]
    with database.read() as connection:
        assert connection.execute(select(audit.c.at)).scalar_one() == clock()


def test_opt_outs_are_audited_if_they_change_something(database: Database, clock: SettableClock) -> None:
    """Keys that are there already, and keys that are not there, write no entry."""
    for _ in range(2):
        ledger.add_opt_out(database, [OTHER_KEY, KEY], number_key=KEY, key_id="k", actor="ann", now=clock())
    assert ledger.remove_opt_outs(database, ["3" * 64], actor="bob", now=clock()) == 0
    assert ledger.remove_opt_outs(database, [KEY], actor="bob", now=clock()) == 2
    assert entries(database) == [
        ("ann", "opt_out.add", {"patient_keys": [KEY, OTHER_KEY], "any_issuer": True}),
        ("bob", "opt_out.remove", {"patient_keys": [KEY, OTHER_KEY]}),
    ]


def test_an_image_of_an_opted_out_patient_has_the_sentence_of_its_reason(ledger_driver: LedgerDriver) -> None:
    """As if the worker had known of the opt-out."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    ledger_driver.record(batch, [ledger.opted_out(image.work_id, image.instance_id)])

    (row,) = ledger_driver.work()
    assert (row.state, row.reason, row.detail) == ("rejected", "opted_out", Reason.OPTED_OUT.message)


def test_an_arrival_may_have_a_priority_of_its_own(ledger_driver: LedgerDriver) -> None:
    """The others get that of the call."""
    ledger_driver.register([*build_arrivals(1), *build_arrivals(1, priority=2), *build_arrivals(1, priority=0)])

    assert [row.priority for row in sorted(ledger_driver.work(), key=lambda row: row.instance_id)] == [5, 2, 0]


def test_a_known_bundle_keeps_its_codes_or_gets_new_ones(ledger_driver: LedgerDriver) -> None:
    """The digest does not cover them. A bundle of images becomes one of series, and never the other way round."""

    def stored(**fields: Any) -> tuple[Any, bool]:
        bundle = {"name": "t", "version": "1", "digest": "t" * 64, "labels": ["a"], "normal_label": None}
        ledger.register_bundle(ledger_driver.database, **bundle, **fields, now=ledger_driver.clock())
        with ledger_driver.database.read() as connection:
            row = connection.execute(select(bundles).where(bundles.c.digest == "t" * 64)).one()
        return row.codes, row.of_series

    code = LabelCode(value="27925004", scheme="SCT", meaning="Nodule")
    shown, of_series = stored(codes={"a": (code,)})
    assert shown is not None
    assert not of_series
    assert stored() == (shown, False)
    assert stored(of_series=True) == (shown, True)
    assert stored(codes={}) == (None, True)


def test_results_are_examined_from_the_last_time_that_is_not_in_the_future(
    database: Database, clock: SettableClock
) -> None:
    """A time in the future was stored before the clock was set back."""
    assert results_since(database, clock()) == clock()
    note_examined(database, clock())
    overlap = clock() - results_since(database, clock())
    assert overlap > timedelta(0)
    an_hour_later, an_hour_before = clock() + timedelta(hours=1), clock() - timedelta(hours=1)
    assert results_since(database, an_hour_later) == clock() - overlap
    assert results_since(database, an_hour_before) == an_hour_before - overlap


def beat(boot_id: str, node: str = "w1", **fields: Any) -> Heartbeat:
    return Heartbeat(part=PartKind.WATCHER, node=node, boot_id=boot_id, **fields)


def test_heartbeats_continue_restart_stop_and_begin(database: Database, clock: SettableClock) -> None:
    """All in one call, in any order: each part has one row, and one beat does not end the others."""
    began = clock()
    ledger.record_heartbeats(database, [beat("a1", "a"), beat("b1", "b"), beat("c1", "c")], now=began)
    later = clock.advance(seconds=10)
    ledger.record_heartbeats(
        database, [beat("c1", "c", stopped=True), beat("a1", "a"), beat("b2", "b"), beat("d1", "d")], now=later
    )

    with database.read() as connection:
        rows = connection.execute(select(heartbeats).order_by(heartbeats.c.node)).all()
    assert [
        (row.node, row.boot_id, row.started_at, row.heartbeat_at, row.stopped_at, row.crashed_at) for row in rows
    ] == [
        ("a", "a1", began, later, None, None),
        ("b", "b2", later, later, None, began),
        ("c", "c1", began, began, later, None),
        ("d", "d1", later, later, None, None),
    ]


def test_a_heartbeat_stores_what_the_part_says_now(database: Database, clock: SettableClock) -> None:
    """Its details and the time of its last round replace those of the heartbeat before."""
    ledger.record_heartbeats(database, [beat("a1", detail={"port": 1}, worked_at=clock())], now=clock())
    worked_at = clock.advance(seconds=10)
    ledger.record_heartbeats(database, [beat("a1", detail={"port": 2}, worked_at=worked_at)], now=clock())
    with database.read() as connection:
        (row,) = connection.execute(select(heartbeats)).all()
    assert (row.detail, row.worked_at) == ({"port": 2}, worked_at)


def test_a_part_is_forgotten_after_seven_days(database: Database, clock: SettableClock) -> None:
    """Not a second before; a restored database forgets all of them."""
    ledger.record_heartbeats(database, [beat("a1", "a")], now=clock())
    assert ledger.forget_parts(database, now=clock.advance(days=7)) == 0
    assert ledger.forget_parts(database, now=clock.advance(seconds=1)) == 1
    ledger.record_heartbeats(database, [beat("a1", "a")], now=clock())
    ledger.forget_all_parts(database)
    with database.read() as connection:
        assert connection.execute(select(heartbeats)).all() == []


def test_two_conditions_of_one_subject_are_two_alarms(database: Database, clock: SettableClock) -> None:
    """The rule is part of what an alarm is."""
    findings = [Finding(rule=rule, subject="worker", text="text") for rule in (AlarmRule.PAUSED, AlarmRule.BACKUP)]

    def noted(*some: Finding) -> Sequence[str]:
        events = note_findings(
            database,
            some,
            now=clock(),
            night=clock().date(),
            notices_of=lambda _event, _alarm: (),
            repeat_after=timedelta(hours=1),
        )
        return [f"{event.value} {alarm.rule}" for event, alarm in events]

    assert noted(findings[0]) == ["opened paused"]
    assert noted(*findings) == ["opened backup"]


@pytest.mark.parametrize("former", [SHA256, "f" * 64], ids=["first", "last"])
def test_one_former_content_is_enough_to_look_for_them(ledger_driver: LedgerDriver, former: str) -> None:
    """And only the given contents and UIDs of images with such a content are found."""
    assert not ledger.has_former_contents(ledger_driver.database)
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    outcomes = [build_outcome(image, content=content) for image, content in zip(images, (former, BLAKE3), strict=True)]
    ledger_driver.record(batch, outcomes)

    assert ledger.has_former_contents(ledger_driver.database)
    assert ledger.former_contents(ledger_driver.database, [former, "c" * 64]) == {former}
    assert ledger.former_contents(ledger_driver.database, ["c" * 64]) == set()


def test_former_contents_and_uids_are_those_that_were_asked_for(ledger_driver: LedgerDriver) -> None:
    """A rejected image has its content as well; a UID counts only if its image has a SHA-256."""
    ledger_driver.register(build_arrivals(4))
    (batch,) = ledger_driver.form()
    rejected = {"state": State.REJECTED, "reason": Reason.TRUNCATED}
    kinds: list[dict[str, Any]] = [{"content": SHA256}, {"content": BLAKE3}, {"content": "c" * 64}, rejected]
    kinds[3] |= {"content": "d" * 64}
    outcomes = [
        build_outcome(image, facts=Facts(sop_instance_uid=f"1.{number}", series_instance_uid="1"), **kind)
        for number, (image, kind) in enumerate(zip(ledger_driver.claim(batch), kinds, strict=True))
    ]
    ledger_driver.record(batch, outcomes)

    database = ledger_driver.database
    assert ledger.former_uids(database, ["1.0", "1.1", "1.9"]) == {"1.0"}
    assert ledger.former_contents(database, [SHA256, "d" * 64]) == {SHA256, "d" * 64}
    assert ledger.former_contents(database, [SHA256]) == {SHA256}
    assert ledger.former_contents(database, ["e" * 64]) == set()


def test_a_device_is_forgotten_in_blocks_without_its_images(ledger_driver: LedgerDriver) -> None:
    """Blocks have 256 ids: 1 to 255, 256 to 511, and so on. One image of a block is enough to keep its device."""
    ledger_driver.register(build_arrivals(520))
    facts = Facts(manufacturer="ACME", station_name="S1")
    for batch in ledger_driver.form(images=1024):
        images = ledger_driver.claim(batch)
        ledger_driver.record(batch, [build_outcome(image, facts=facts) for image in images])
    database, of_ids = ledger_driver.database, instances.c.id
    found = [
        (kind, value, block) for kind, value in (("manufacturer", "ACME"), ("station", "S1")) for block in range(3)
    ]

    def forget(condition: ColumnElement[bool], *image_ids: int) -> list[tuple[str, str, int]]:
        without = update(instances).where(condition).values(manufacturer=None)
        database.write(lambda connection: connection.execute(without))
        database.write(lambda connection: forget_occurrences(connection, image_ids))
        statement = select(occurrences.c.kind, occurrences.c.value, occurrences.c.block)
        with database.read() as connection:
            return sorted(tuple(row) for row in connection.execute(statement))

    assert forget(of_ids > 256, 300) == found  # image 256 has the device, and nobody asked for the third block
    found.remove(("manufacturer", "ACME", 1))
    assert forget(of_ids == 256, 256) == found


def test_the_first_arrival_is_the_earliest(ledger_driver: LedgerDriver) -> None:
    """None without any."""
    assert ledger.first_arrival(ledger_driver.database) is None
    first = ledger_driver.clock()
    ledger_driver.register(build_arrivals(1))
    ledger_driver.clock.advance(hours=1)
    ledger_driver.register(build_arrivals(1))

    assert ledger.first_arrival(ledger_driver.database) == first


def test_a_duplicate_has_no_intensities(ledger_driver: LedgerDriver) -> None:
    """They are those of its original, which is counted for drift once."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    outcomes = [build_outcome(image, content=BLAKE3, intensities=7) for image in ledger_driver.claim(batch)]
    ledger_driver.record(batch, outcomes)

    assert sorted((row.state, row.intensities) for row in ledger_driver.work()) == [("done", 7), ("duplicate", None)]


def test_a_cancelled_image_keeps_nothing_of_its_wait(ledger_driver: LedgerDriver) -> None:
    """Neither the batch, nor the time of the next attempt."""
    ledger_driver.register(build_arrivals(1))
    later = ledger_driver.clock() + timedelta(hours=1)
    ledger_driver.analyse_all(state=State.RECEIVED, reason=Reason.STORE_UNAVAILABLE, not_before=later)
    ledger_driver.register(build_arrivals(1))
    ledger_driver.form()
    assert ledger.cancel(ledger_driver.database, [1, 2], actor="ann", now=ledger_driver.clock()) == [1, 2]

    for row in ledger_driver.work():
        assert (row.detail, row.batch_id, row.not_before) == (Reason.CANCELLED.message, None, None)
