"""`nightread status` has a line for each re-run that waits."""

import json
from collections.abc import Callable

from ledger_driver import LedgerDriver, build_arrivals

from db import ledger

Nightread = Callable[..., tuple[int, str, str]]


def test_status_shows_reruns_only_while_they_wait(
    nightread: Nightread, ledger_driver: LedgerDriver, bundle_id: int
) -> None:
    """The line is for people, and `reruns` for programs."""
    ledger_driver.register(build_arrivals(2))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    assert "Re-run" not in nightread("status")[1]
    trial, now = ledger_driver.register_trial_bundle(), ledger_driver.clock()
    ledger.plan_rerun(ledger_driver.database, [1, 2], [trial], shadow=False, actor="ann", now=now)
    (shown,) = json.loads(nightread("status", "--json")[1])["reruns"]
    assert (shown["model"], shown["waiting"], shown["images"]) == ("t@1", 2, 2)
    assert f"Re-run {shown['number']} with t@1: 2 of 2 images are waiting." in nightread("status")[1]
