"""Load the networks that the routing rules in the database name."""

import weakref
from pathlib import Path

import pytest
from dicom_files import phantom
from ledger_driver import LedgerDriver
from worker_driver import WorkerDriver

from db import ledger
from db.ledger import NewRoute
from imaging.read import read
from models.catalogue import find_bundle
from nightread.errors import StopWork
from nightread.settings import Settings, load_settings
from worker.inference.model_set import open_model_set, reload_model_set

PHANTOM = find_bundle("phantom")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings without `--model`, so that the rules decide."""
    return load_settings(None, state_dir=tmp_path / "state")


def activate(ledger_driver: LedgerDriver, *conditions: str, name: str = "phantom", digest: str = PHANTOM.digest) -> int:
    """Add a rule for the shipped bundle, or for one of another name or digest, and return its id."""
    route = NewRoute(bundle_id=register_bundle(ledger_driver, name, digest), role="answer", conditions=conditions)
    return ledger.add_route(ledger_driver.database, route, first=False, actor="alice", now=ledger_driver.clock())


def register_bundle(ledger_driver: LedgerDriver, name: str = "phantom", digest: str = PHANTOM.digest) -> int:
    """Register a bundle and return its id."""
    return ledger.register_bundle(
        ledger_driver.database,
        name=name,
        version=PHANTOM.version if name == PHANTOM.name else "1.0",
        digest=digest,
        labels=PHANTOM.labels,
        normal_label="clear",
        now=ledger_driver.clock(),
    )


def test_changed_rules_take_effect(ledger_driver: LedgerDriver, settings: Settings) -> None:
    """A network is loaded with its first rule, kept while a rule names it, and dropped with its last rule."""
    scan = read(phantom(1))
    empty = open_model_set(settings, ledger_driver.database)
    assert empty.assign(scan, "inbox").matches == ()
    assert reload_model_set(empty, settings, ledger_driver.database) is empty

    first = activate(ledger_driver, "rows>=512")
    loaded = reload_model_set(empty, settings, ledger_driver.database)
    assert loaded.assign(scan, "inbox").matches == ()
    second = activate(ledger_driver, "rows<=511")
    both = reload_model_set(loaded, settings, ledger_driver.database)
    assert both.models[PHANTOM.reference] is loaded.models[PHANTOM.reference]
    (match,), (spec,), *_ = both.assign(scan, "inbox")
    assert (match.rule.route_id, dict(match.matched), spec) == (second, {"rows": "64"}, PHANTOM.spec)

    ledger.end_routes(ledger_driver.database, [first, second], actor="alice", now=ledger_driver.clock())
    assert reload_model_set(both, settings, ledger_driver.database).models == {}


@pytest.mark.parametrize(
    ("bundle", "complaint"),
    [
        ({"name": "gone", "digest": "a" * 64}, r"names the bundle gone@1\.0, which this host does not have"),
        ({"digest": "b" * 64}, "another digest"),
    ],
)
def test_a_bundle_that_is_not_the_one_that_was_activated_stops_work(
    ledger_driver: LedgerDriver, settings: Settings, bundle: dict[str, str], complaint: str
) -> None:
    """No result is better than a result of another network."""
    activate(ledger_driver, **bundle)
    with pytest.raises(StopWork, match=complaint):
        open_model_set(settings, ledger_driver.database)


def test_a_named_model_replaces_the_rules(ledger_driver: LedgerDriver, settings: Settings) -> None:
    """With `--model`, this bundle analyses every image."""
    activate(ledger_driver, "rows>=512")
    named = settings.model_copy(update={"model": "phantom"})
    model_set = open_model_set(named, ledger_driver.database)
    (match,) = model_set.assign(read(phantom(1)), "inbox").matches
    assert (match.bundle, match.rule.route_id) == (PHANTOM.reference, None)
    assert reload_model_set(model_set, named, ledger_driver.database) is model_set


def test_two_digests_of_one_name_stop_work(ledger_driver: LedgerDriver, settings: Settings) -> None:
    """There is one folder per name: images of the older rule would be analysed by the newer network."""
    activate(ledger_driver, "rows>=512", digest="b" * 64)
    activate(ledger_driver, "rows<=511")
    with pytest.raises(StopWork, match=r"routing rule 1.*another digest"):
        open_model_set(settings, ledger_driver.database)


@pytest.mark.parametrize(("role", "condition"), [("answer", "colour=red"), ("judge", "rows>=1")])
def test_a_rule_of_another_release_stops_work(
    ledger_driver: LedgerDriver, settings: Settings, role: str, condition: str
) -> None:
    """The message has the number of the rule, and no batch is claimed."""
    empty = open_model_set(settings, ledger_driver.database)
    route = NewRoute(bundle_id=register_bundle(ledger_driver), role=role, conditions=(condition,))
    ledger.add_route(ledger_driver.database, route, first=False, actor="alice", now=ledger_driver.clock())
    with pytest.raises(StopWork, match="routing rule 1 has a role or a condition that this release does not know"):
        reload_model_set(empty, settings, ledger_driver.database)


@pytest.mark.slow
def test_the_memory_of_a_dropped_network_is_freed(
    ledger_driver: LedgerDriver, settings: Settings, redis_url: str, bundle_id: int, tmp_path: Path
) -> None:
    """Otherwise the memory of a worker would grow with each change of the rules."""
    number = activate(ledger_driver)
    worker_driver = WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)
    context = worker_driver.context(model_set=open_model_set(settings, ledger_driver.database))
    network = weakref.ref(context.model_set.models[PHANTOM.reference].predictor)
    ledger.end_routes(ledger_driver.database, [number], actor="alice", now=ledger_driver.clock())
    context.reload_routes()
    assert context.model_set.models == {}
    assert network() is None


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "largest"), [("0", 256), ("", 64)])
def test_a_worker_with_a_gpu_loads_its_networks_for_large_micro_batches(
    ledger_driver: LedgerDriver, settings: Settings, monkeypatch: pytest.MonkeyPatch, devices: str, largest: int
) -> None:
    """The network itself runs on whatever device TensorFlow finds."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    activate(ledger_driver)

    assert open_model_set(settings, ledger_driver.database).models[PHANTOM.reference].predictor.largest == largest
