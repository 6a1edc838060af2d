"""Which versions of an image are current, and which of them are in conflict."""

from db.ledger.trust import Domain
from db.ledger.versions import Version, settle

CT: Domain = ("source", 1, 0)
PACS: Domain = ("source", 2, 0)


def version(image_id: int, own: Domain = CT, **fields: object) -> Version:
    """Return a version without marks that only its own domain sent."""
    values = {"first": {own: image_id}, "superseded_by": None, "withdrawn_by": None, "conflict_with": None} | fields
    return Version(image_id=image_id, own=own, **values)  # type: ignore[arg-type]


def marks(*versions: Version) -> list[tuple[int | None, int | None]]:
    """Return the newer version and the conflict of each version after it is settled."""
    return [(settled.superseded_by, settled.conflict_with) for settled in settle(versions)]


def test_of_one_domain_the_newest_is_current() -> None:
    """The others name it, and a version that has a newer one keeps it."""
    assert marks(version(1, superseded_by=2), version(2), version(3)) == [(2, None), (3, None), (None, None)]


def test_each_domain_has_a_current_version() -> None:
    """All of them are in conflict: the newest with the second newest, the others with the newest."""
    other: Domain = ("group", "wards")
    versions = (version(1), version(2, PACS), version(3, other))
    assert marks(*versions) == [(None, 3), (None, 3), (None, 2)]


def test_a_known_conflict_is_no_news() -> None:
    """While both versions are current, each keeps the other one that it names."""
    other: Domain = ("group", "wards")
    versions = (version(1, conflict_with=2), version(2, PACS, conflict_with=1), version(3, other))
    assert marks(*versions) == [(None, 2), (None, 1), (None, 2)]


def test_a_conflict_ends_with_the_other_version() -> None:
    """A conflict with a key object note, which is no version, stays."""
    ended = version(2, conflict_with=1), version(1, superseded_by=2)
    assert marks(*ended) == [(None, None), (2, None)]
    assert marks(version(2, conflict_with=9)) == [(None, 9)]


def test_a_withdrawn_version_is_in_no_conflict() -> None:
    """The only other one is current without company."""
    assert marks(version(1, withdrawn_by=7), version(2, PACS)) == [(None, None), (None, None)]


def test_bytes_of_two_domains_are_outdated_only_in_both() -> None:
    """The age in a domain is that of its first arrival there."""
    both = version(1, first={CT: 1, PACS: 3})
    assert marks(both, version(2, PACS)) == [(None, None), (3, None)]
    assert marks(both, version(4, PACS)) == [(None, 4), (None, 1)]
    assert marks(both, version(4, PACS), version(5)) == [(5, None), (None, 5), (None, 4)]


def test_a_superseded_version_becomes_current_for_a_further_domain() -> None:
    """Its earlier mark goes."""
    again = version(1, first={CT: 1, PACS: 3}, superseded_by=2)
    assert marks(again, version(2)) == [(None, 2), (None, 1)]
