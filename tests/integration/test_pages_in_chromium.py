"""The pages in Debian's Chromium: axe has no serious finding, nothing overflows, and the keyboard is enough."""

import shutil
import socket
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import skip_reasons
import uvicorn
from databases import NewSqlite
from ledger_driver import SettableClock
from mixed_night import MORNING, fill_mixed_night
from text_boxes import misplaced_words

from api.app import make_app
from api.context import ApiContext
from nightread.nights import nights_of
from nightread.settings import load_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CHROMIUM = shutil.which("chromium")
UID = "1.2.826.0.1.3680043.10.999.2"
"""What the UIDs of the studies begin with."""
PAGES = (
    "/",
    "/images",
    "/images?view=pictures&sort=suspicion",
    "/images/120?overlay=1",
    "/images?sort=suspicion&night=2026-11-05",
    "/studies",
    f"/studies/{UID}.9",
    "/failures",
    "/batches",
    "/models",
    "/sign-in",
)
PIXEL = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==")
"""A picture of one pixel."""
SIZES = {"desktop": (1280, 900), "tablet": (820, 1100), "phone": (390, 844)}


@pytest.fixture(scope="module")
def address(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API with a mixed night of 200 images, of which five are unfinished."""
    folder = tmp_path_factory.mktemp("chromium")
    settings = load_settings(state_dir=folder, time_zone="UTC")
    with new_sqlite(folder / "nightread.sqlite3", durable=True) as database:
        fill_mixed_night(database, images=200, earlier=20, unfinished=5)
        clock = SettableClock(now=MORNING)
        context = ApiContext(settings=settings, database=database, nights=nights_of(settings), clock=clock)
        with served(make_app(context)) as found:
            yield found


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an application from a thread; the socket listens before, so that no early connection is refused."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason=skip_reasons.CHROMIUM)
    if CHROMIUM is None:
        pytest.skip(skip_reasons.CHROMIUM)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    """Open a window; errors of the console fail the test, but for pictures of files that do not exist."""
    context = browser.new_context(base_url=address, **options)
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if _is_error(line) else None)
    yield page
    context.close()
    assert errors == []


def _is_error(line: Any) -> bool:
    return line.type == "error" and not line.location["url"].endswith(".png") and ".png?" not in line.location["url"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_finding(browser: Any, address: str, scheme: str) -> None:
    """On every page, in both themes: contrast, names, landmarks, tables. The policy of the page is lifted for axe."""
    axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright", reason=skip_reasons.CHROMIUM)
    with opened(browser, address, color_scheme=scheme, bypass_csp=True) as page:
        findings = {}
        for path in PAGES:
            page.goto(path)
            found = axe_playwright.Axe().run(page).response["violations"]
            serious = [
                (one["id"], one["nodes"][0]["html"][:200])
                for one in found
                if one["impact"] in ("serious", "critical", "moderate")
            ]
            if serious:
                findings[path] = serious
    assert findings == {}


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_wider_than_the_window_and_no_words_overlap(browser: Any, address: str, size: str) -> None:
    """Tables scroll within themselves. The policy of the page is lifted for the script that looks for words."""
    width, height = SIZES[size]
    with opened(browser, address, viewport={"width": width, "height": height}, bypass_csp=True) as page:
        for path in PAGES:
            page.goto(path)
            too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert too_wide <= 0, path
            assert misplaced_words(page) == [], path


def test_all_sections_are_in_reach_on_a_phone(browser: Any, address: str) -> None:
    """The bar of pages needs no scrolling at 390 px."""
    width, height = SIZES["phone"]
    with opened(browser, address, viewport={"width": width, "height": height}) as page:
        page.goto("/models")
        hidden = page.evaluate(
            "(() => { const bar = document.querySelector('.top nav'); return bar.scrollWidth - bar.clientWidth; })()"
        )
        assert hidden <= 0


def test_the_keyboard_is_enough(browser: Any, address: str) -> None:
    """`/` goes to the search, Tab first to the skip link, j to the first row, and Enter opens it."""
    with opened(browser, address) as page:
        page.goto("/images")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("j")
        page.keyboard.press("j")
        first = page.evaluate("document.activeElement.getAttribute('href')")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{first}")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "search"
        page.keyboard.type("120")
        page.keyboard.press("Enter")
        page.wait_for_url("**/images/120")


def test_j_leaves_out_rows_that_are_folded(browser: Any, address: str) -> None:
    """On the page of failures only the rows of groups that a person opened can have the focus."""
    with opened(browser, address) as page:
        page.goto("/failures")
        page.click("summary >> nth=1")
        page.keyboard.press("j")
        assert page.evaluate("document.activeElement.closest('section').matches('section:nth-of-type(2)')")


def test_it_works_without_scripts(browser: Any, address: str) -> None:
    """Filters, themes and a retry are links and forms."""
    with opened(browser, address, java_script_enabled=False) as page:
        page.goto("/images")
        page.select_option("select[name=state]", "failed")
        page.click("text=Show")
        assert "state=failed" in page.url
        page.click("text=Theme: auto")
        assert page.get_attribute("html", "data-theme") == "dark"
        page.goto("/failures")
        page.click("text=Analyse again … >> nth=0")
        page.click("button.main")
        assert "to be analysed again" in page.inner_text("[role=status]")


def test_the_report_is_one_page_in_print(browser: Any, address: str, tmp_path: Path) -> None:
    """Print leaves navigation and forms out, and the page becomes a PDF."""
    with opened(browser, address) as page:
        page.goto("/")
        page.emulate_media(media="print")
        assert not page.is_visible("nav[aria-label=Pages]")
        page.pdf(path=tmp_path / "night.pdf")
    assert (tmp_path / "night.pdf").read_bytes().startswith(b"%PDF")


def test_print_has_no_buttons(browser: Any, address: str) -> None:
    """Paper cannot be clicked."""
    with opened(browser, address) as page:
        page.emulate_media(media="print")
        for path in PAGES:
            page.goto(path)
            assert page.locator("button:visible, .paging:visible").count() == 0, path


def test_a_missing_heat_map_leaves_the_picture(browser: Any, address: str) -> None:
    """Words stand in its place; without them a person would think that there is no evidence."""
    with opened(browser, address) as page:
        page.route("**/preview.png*", lambda route: route.fulfill(body=PIXEL, content_type="image/png"))
        page.route("**/heatmap.png*", lambda route: route.fulfill(status=503, body=""))
        page.goto("/images?label=nodule&state=done")
        page.goto(f"{page.get_attribute('a.row', 'href')}?overlay=1")
        page.wait_for_selector(".no-overlay", state="visible")
        assert page.is_visible(".picture img:not(.overlay)")
        assert not page.is_visible(".picture img.overlay")
