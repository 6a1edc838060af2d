"""The networks that a process has loaded follow the rules in the record."""

import weakref
from pathlib import Path

import pytest
from night import Night
from scans import phantom
from worker_bench import Bench

from db import ledger
from db.ledger import NewRoute
from imaging.read import read
from models.catalogue import find_bundle
from nightread.errors import StopWork
from nightread.settings import Settings, load_settings
from worker.panel import open_panel, renewed

PHANTOM = find_bundle("phantom")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """No model is named: rules decide."""
    return load_settings(None, state_dir=tmp_path / "state")


def activate(night: Night, *conditions: str, name: str = "phantom", digest: str = PHANTOM.digest) -> int:
    """A rule that sends images to the shipped bundle, or to one of another name or digest."""
    route = NewRoute(bundle_id=known(night, name, digest), role="answer", conditions=conditions)
    return ledger.add_route(night.database, route, first=False, actor="alice", now=night.clock())


def known(night: Night, name: str = "phantom", digest: str = PHANTOM.digest) -> int:
    """The id of a bundle that the record knows."""
    return ledger.register_bundle(
        night.database,
        name=name,
        version="1.0",
        digest=digest,
        labels=PHANTOM.labels,
        normal_label="clear",
        now=night.clock(),
    )


def test_rules_that_change_are_followed(night: Night, settings: Settings) -> None:
    """A network is loaded when a rule names it, kept while one does, and dropped with its last rule."""
    scan = read(phantom(1))
    empty = open_panel(settings, night.database)
    assert empty.assign(scan, "inbox").matches == ()
    assert renewed(empty, settings, night.database) is empty

    first = activate(night, "rows>=512")
    loaded = renewed(empty, settings, night.database)
    assert loaded.assign(scan, "inbox").matches == ()
    second = activate(night, "rows<=511")
    both = renewed(loaded, settings, night.database)
    assert both.readers["phantom@1.0"] is loaded.readers["phantom@1.0"]
    (match,), (spec,), *_ = both.assign(scan, "inbox")
    assert (match.rule.route_id, dict(match.matched), spec) == (second, {"rows": "64"}, PHANTOM.spec)

    ledger.end_routes(night.database, [first, second], actor="alice", now=night.clock())
    assert renewed(both, settings, night.database).readers == {}


@pytest.mark.parametrize(
    ("bundle", "complaint"),
    [
        ({"name": "gone", "digest": "a" * 64}, "names a bundle that this host lacks"),
        ({"digest": "b" * 64}, "wrong digest"),
    ],
)
def test_a_bundle_that_is_not_the_one_that_was_activated_stops_work(
    night: Night, settings: Settings, bundle: dict[str, str], complaint: str
) -> None:
    """Rather no result than one of another network."""
    activate(night, **bundle)
    with pytest.raises(StopWork, match=complaint):
        open_panel(settings, night.database)


def test_a_named_model_asks_no_rules(night: Night, settings: Settings) -> None:
    """`--model` is the one bundle for every image."""
    activate(night, "rows>=512")
    named = settings.model_copy(update={"model": "phantom"})
    panel = open_panel(named, night.database)
    (match,) = panel.assign(read(phantom(1)), "inbox").matches
    assert (match.bundle, match.rule.route_id) == ("phantom@1.0", None)
    assert renewed(panel, named, night.database) is panel


def test_two_digests_of_one_name_stop_work(night: Night, settings: Settings) -> None:
    """One folder cannot be both: the older rule would get its results from the newer network."""
    activate(night, "rows>=512", digest="b" * 64)
    activate(night, "rows<=511")
    with pytest.raises(StopWork, match=r"routing rule 1.*wrong digest"):
        open_panel(settings, night.database)


@pytest.mark.parametrize(("role", "condition"), [("answer", "colour=red"), ("judge", "rows>=1")])
def test_a_rule_of_another_release_stops_work(night: Night, settings: Settings, role: str, condition: str) -> None:
    """With the rule's number, and before a batch is claimed."""
    empty = open_panel(settings, night.database)
    route = NewRoute(bundle_id=known(night), role=role, conditions=(condition,))
    ledger.add_route(night.database, route, first=False, actor="alice", now=night.clock())
    with pytest.raises(StopWork, match="routing rule 1 says what this release does not know"):
        renewed(empty, settings, night.database)


def test_the_memory_of_a_dropped_network_comes_back(
    night: Night, settings: Settings, redis_url: str, bundle_id: int, tmp_path: Path
) -> None:
    """However often rules change while a worker runs."""
    number = activate(night)
    bench = Bench(night=night, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)
    desk = bench.desk(panel=open_panel(settings, night.database))
    network = weakref.ref(desk.panel.readers["phantom@1.0"].predictor)
    ledger.end_routes(night.database, [number], actor="alice", now=night.clock())
    desk.follow_rules()
    assert desk.panel.readers == {}
    assert network() is None
