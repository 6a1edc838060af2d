"""The networks that a process has loaded follow the rules in the record."""

from pathlib import Path

import pytest
from night import Night
from scans import phantom

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
    bundle_id = ledger.register_bundle(
        night.database,
        name=name,
        version="1.0",
        digest=digest,
        labels=PHANTOM.labels,
        normal_label="clear",
        now=night.clock(),
    )
    route = NewRoute(bundle_id=bundle_id, role="answer", conditions=conditions)
    return ledger.add_route(night.database, route, first=False, actor="alice", now=night.clock())


def test_rules_that_change_are_followed(night: Night, settings: Settings) -> None:
    """A network is loaded when a rule names it, kept while one does, and dropped with its last rule."""
    scan = read(phantom(1))
    empty = open_panel(settings, night.database)
    assert empty.assign(scan, "inbox").choices == ()
    assert renewed(empty, settings, night.database) is empty

    first = activate(night, "rows>=512")
    loaded = renewed(empty, settings, night.database)
    assert loaded.assign(scan, "inbox").choices == ()
    second = activate(night, "rows<=511")
    both = renewed(loaded, settings, night.database)
    assert both.readers["phantom@1.0"] is loaded.readers["phantom@1.0"]
    (choice,), (spec,), _ = both.assign(scan, "inbox")
    assert (choice.rule.route_id, dict(choice.matched), spec) == (second, {"rows": "64"}, PHANTOM.spec)

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
    (choice,) = panel.assign(read(phantom(1)), "inbox").choices
    assert (choice.bundle, choice.rule.route_id) == ("phantom@1.0", None)
    assert renewed(panel, named, night.database) is panel
