"""Members of archives belong to the source of the outermost archive."""

from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import select
from trusted_arrivals import TrustedArrivals, image_fields

from db import ledger
from db.ledger import Annotations, CallingEntity, Members
from db.ledger.origins import origin_columns, origin_id, origin_name
from db.tables import State, instances


def unpack(ledger_driver: LedgerDriver, members: Members) -> None:
    """Record the only image that is ready as an archive with these members."""
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    annotations = Annotations(members=members)
    ledger_driver.record(batch, [build_outcome(image, state=State.EXPANDED, annotations=annotations)])


def add_source(ledger_driver: LedgerDriver, name: str) -> int:
    return ledger.ensure_source(
        ledger_driver.database, name=name, kind="folder", root=f"/{name}", now=ledger_driver.clock()
    )


def origins(ledger_driver: LedgerDriver) -> list[tuple[int | None, str | None]]:
    """Return id and name of the source of each arrival's outermost archive; None for one that is no member."""
    statement = select(instances.c.id, origin_id(), origin_name()).order_by(instances.c.id)
    with ledger_driver.database.read() as connection:
        return [(number, name) for _, number, name in connection.execute(statement)]


def test_members_of_nested_archives_name_the_outermost_source(ledger_driver: LedgerDriver) -> None:
    """The archive came from the inbox; it has another archive, which has two images. All have its priority."""
    archives = add_source(ledger_driver, "archives")
    ledger_driver.register(build_arrivals(1), priority=2)
    unpack(ledger_driver, Members(source_id=archives, arrivals=tuple(build_arrivals(1))))
    (batch,) = ledger_driver.form()
    (inner,) = ledger_driver.claim(batch)
    assert (inner.source, inner.root, inner.origin) == ("archives", "/archives", "inbox")
    two = Annotations(members=Members(source_id=archives, arrivals=tuple(build_arrivals(2))))
    ledger_driver.record(batch, [build_outcome(inner, state=State.EXPANDED, annotations=two)])

    (batch,) = ledger_driver.form()
    assert [(image.source, image.origin) for image in ledger_driver.claim(batch)] == [("archives", "inbox")] * 2
    assert [row.priority for row in ledger_driver.work()] == [2, 2, 2, 2]
    outer, inner_row, *images = ledger_driver.instances()
    assert (outer.parent_id, inner_row.parent_id) == (None, outer.id)
    assert [row.parent_id for row in images] == [inner_row.id] * 2
    assert origins(ledger_driver) == [(None, None), *[(ledger_driver.source_id, "inbox")] * 3]


def test_members_of_several_sources_keep_them_apart(ledger_driver: LedgerDriver) -> None:
    """A file that is no member names its own source."""
    archives, other = add_source(ledger_driver, "archives"), add_source(ledger_driver, "other")
    inbox = ledger_driver.source_id
    for source in (inbox, other):
        ledger_driver.source_id = source
        ledger_driver.register(build_arrivals(1))
        unpack(ledger_driver, Members(source_id=archives, arrivals=tuple(build_arrivals(1))))
        ledger_driver.register(build_arrivals(1))
        (batch,) = ledger_driver.form()
        name = "inbox" if source == inbox else "other"
        images = ledger_driver.claim(batch)
        assert [(image.source, image.origin) for image in images] == [("archives", name), (name, name)]
        ledger_driver.record(batch, [build_outcome(image) for image in images])
    nobody = (None, None)
    assert origins(ledger_driver) == [nobody, (inbox, "inbox"), nobody, nobody, (other, "other"), nobody]


def test_the_columns_of_an_origin_name_source_sender_and_archives(ledger_driver: LedgerDriver) -> None:
    """Two nested archives: one of a sender of a receiver, and one of a folder, which also has an image."""
    arrivals = TrustedArrivals(ledger_driver=ledger_driver)
    receiver, folder = arrivals.add_source("receiver", kind="receiver"), arrivals.add_source("folder")
    expected: list[tuple[int | None, ...]] = []
    for name, source, sender in (
        ("receiver", receiver, CallingEntity(calling_ae="CT1", address="10.0.0.5")),
        ("folder", folder, None),
    ):
        arrivals.send(name, sender=sender)
        (outer,) = arrivals.record_waiting(arrivals.archive_fields(f"{source:032x}" * 2, 1))
        (inner,) = arrivals.record_waiting(arrivals.archive_fields(f"{source:064x}", 1))
        (image,) = arrivals.record_waiting(image_fields(name[0]))
        sender_id = next(row.sender_id for row in ledger_driver.instances() if row.id == outer)
        assert (sender_id is None) == (sender is None)
        expected += [
            (outer, source, sender_id, None, None),
            (inner, source, sender_id, outer, None),
            (image, source, sender_id, inner, outer),
        ]
    expected.append((arrivals.image("folder", "x"), folder, None, None, None))
    with ledger_driver.database.read() as connection:
        rows = connection.execute(select(instances.c.id, *origin_columns()).order_by(instances.c.id)).all()
    assert [tuple(row) for row in rows] == expected


def test_an_archive_that_is_unpacked_again_adds_no_member_twice(ledger_driver: LedgerDriver) -> None:
    """A worker died after it had stored its members and before its batch was closed, and another one repeats it."""
    archives = add_source(ledger_driver, "archives")
    members = Members(source_id=archives, arrivals=tuple(build_arrivals(1200)))
    for _ in range(2):
        ledger_driver.register(build_arrivals(1))
        (batch,) = ledger_driver.form(count=1, images=1)
        (image,) = ledger_driver.claim(batch)
        ledger_driver.record(
            batch, [build_outcome(image, state=State.EXPANDED, annotations=Annotations(members=members))]
        )
        ledger_driver.analyse_all()
    assert len(ledger_driver.instances()) == 1202
    assert len(ledger_driver.work()) == 1202


def test_an_archive_that_is_tried_again_has_no_members_yet(ledger_driver: LedgerDriver) -> None:
    """Only a final outcome adds them."""
    archives = add_source(ledger_driver, "archives")
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    annotations = Annotations(members=Members(source_id=archives, arrivals=tuple(build_arrivals(1))))
    ledger_driver.record(batch, [build_outcome(image, state=State.RECEIVED, annotations=annotations)])
    assert len(ledger_driver.instances()) == 1
