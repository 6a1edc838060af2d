"""Flower in Debian's Chromium: the line below the navigation follows the dispatcher without a new page."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import skip_reasons
from redis import Redis
from running_flower import running_flower

from nightread.queue_report import QueueReport, write_queue_report

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
CHROMIUM = shutil.which("chromium")
BUSY = QueueReport(
    waiting=2501,
    postponed=1,
    in_batches=64,
    batches_published=1,
    batches_claimed=1,
    processes=2,
    pauses=(),
    next_seconds=4,
)


def test_the_line_follows_the_dispatcher(redis_url: str, tmp_path: Path) -> None:
    """Its words and its colour change while the page is open, also when Flower ends."""
    sync_api = pytest.importorskip("playwright.sync_api", reason=skip_reasons.CHROMIUM)
    if CHROMIUM is None:
        pytest.skip(skip_reasons.CHROMIUM)
    with (
        running_flower(tmp_path, redis_url) as flower,
        Redis.from_url(redis_url) as redis,
        sync_api.sync_playwright() as playwright,
    ):
        user, _, password = flower.login.partition(":")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(http_credentials={"username": user, "password": password})
        page, problems = context.new_page(), []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"http://127.0.0.1:{flower.port}/tasks")
        line = page.locator("#nightread-queue")

        def expect(level: str, words: str) -> None:
            shown = sync_api.expect(line)
            shown.to_contain_text(words, timeout=30_000)
            shown.to_contain_class(f"alert-{level}")

        expect("danger", "No dispatcher has reported")
        write_queue_report(redis, BUSY)
        expect("success", "Dispatch is running: 2,500 images wait for a batch, 1 for a later time, 64 in batches.")
        write_queue_report(redis, replace(BUSY, processes=0))
        expect("danger", "No worker is alive")
        line.get_by_role("link", name="Queue").click()
        sync_api.expect(page.locator("h1")).to_have_text("Queue")
        flower.process.terminate()
        flower.process.wait(30)
        expect("danger", "Flower does not answer")
        assert problems == []
        browser.close()
