"""What `nightread run` prints at its end: hints on what to do, and its exit code."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from ledger_driver import LedgerDriver, build_arrivals
from rich.console import Console

from cli.output.run_results import show_results
from cli.output.summary import Summary, show_summary, summarise
from db import ledger, queries
from db.ledger import Annotations, Arrival, Members
from db.queries import ArrivalScope
from db.tables import State
from nightread.reasons import PICTURE, Reason
from nightread.settings import Settings, load_settings
from nightread.sources import ARCHIVES

MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def settings(state_dir: Path) -> Settings:
    """Settings of the state folder, without a model."""
    return load_settings(None, state_dir=state_dir)


def _summary(ledger_driver: LedgerDriver, settings: Settings, *image_ids: int) -> Summary:
    scope = ArrivalScope(image_ids=image_ids) if image_ids else ArrivalScope(source_ids=(ledger_driver.source_id,))
    return summarise(ledger_driver.database, scope, new=1, since=ledger_driver.clock(), settings=settings)


def _printed(summary: Summary) -> str:
    screen = StringIO()
    show_summary(Console(file=screen, width=300), summary)
    return screen.getvalue()


def test_images_that_no_rule_takes_end_with_1_and_name_the_option(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, settings: Settings
) -> None:
    """Final outcomes are not analysed again by themselves, so the hint names `retry` too."""
    ledger_driver.register(make_arrivals(200))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.NO_MODEL)

    summary = _summary(ledger_driver, settings)

    assert summary.exit_code == 1
    assert "No routing rule applies to 200 images (no_model). Name a model for all images" in _printed(summary)
    assert f"`nightread retry --state {settings.state_dir} --reason no_model`" in summary.hints[0]


def test_a_state_folder_with_spaces_is_quoted(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, tmp_path: Path
) -> None:
    """The command of the hint can be pasted into a shell."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.NO_MODEL)
    settings = load_settings(None, state_dir=tmp_path / "night shift")

    retry, query = _summary(ledger_driver, settings).hints

    assert f"`nightread retry --state '{tmp_path}/night shift' --reason no_model`" in retry
    assert f"`nightread query --state '{tmp_path}/night shift' --in-state rejected`" in query


def test_with_a_model_the_hint_is_to_retry_the_images_of_an_earlier_run(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, settings: Settings
) -> None:
    """The rows of the earlier run are final, although the model would take the images now."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.NO_MODEL)

    summary = _summary(ledger_driver, settings.model_copy(update={"model": "phantom"}))

    assert summary.hints[0].startswith("1 image was rejected in an earlier run without a model.")


def test_pictures_end_with_1_and_name_the_setting(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, settings: Settings
) -> None:
    """Other files that are not DICOM are not counted as pictures."""
    ledger_driver.register(make_arrivals(130))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.NOT_DICOM, detail=PICTURE)
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.NOT_DICOM, detail="The file is not a DICOM object.")

    summary = _summary(ledger_driver, settings)

    assert summary.exit_code == 1
    assert "130 files are PNG or JPEG pictures. Set NIGHTREAD_ACCEPT_RASTER=true" in _printed(summary)


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ((State.DONE, State.REJECTED), 0),
        ((State.DUPLICATE, State.REJECTED), 0),
        ((State.REJECTED,), 1),
        ((State.EXPANDED,), 1),
        ((State.DONE, State.FAILED), 1),
        ((), 0),
    ],
)
def test_the_exit_code_is_0_if_nothing_failed_and_an_image_has_a_result(
    ledger_driver: LedgerDriver,
    make_arrivals: MakeArrivals,
    settings: Settings,
    states: tuple[State, ...],
    code: int,
) -> None:
    """A duplicate has the result of its original; an archive is no image; no file at all is no error."""
    for state in states:
        ledger_driver.register(make_arrivals(1))
        reason = Reason.TRUNCATED if state in (State.REJECTED, State.FAILED) else None
        ledger_driver.analyse_all(state=state, reason=reason)

    assert _summary(ledger_driver, settings).exit_code == code


def test_a_run_over_one_file_counts_this_file_alone(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, settings: Settings
) -> None:
    """An earlier result of its neighbour in the folder is no result of this run."""
    ledger_driver.register(make_arrivals(1, uri="neighbour.dcm"))
    ledger_driver.analyse_all()
    ledger_driver.register(make_arrivals(1, uri="one.dcm"))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.TRUNCATED)

    image_ids = queries.newest_at(ledger_driver.database, ledger_driver.source_id, ["one.dcm"])
    summary = _summary(ledger_driver, settings, *image_ids)

    assert image_ids == (2,)
    assert (summary.tally, summary.exit_code) == (queries.Tally(arrived=1, rejected=1), 1)
    assert [image["image_id"] for image in queries.images(ledger_driver.database, _filter(summary))] == [2]


def test_a_run_over_one_file_counts_its_newest_version(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """A file that changed after its outcome is a new arrival at the same place."""
    for _ in range(2):
        ledger_driver.register(make_arrivals(1, uri="one.dcm"))
        ledger_driver.analyse_all()

    assert queries.newest_at(ledger_driver.database, ledger_driver.source_id, ["one.dcm"]) == (2,)


def test_a_run_over_one_file_shows_the_result_of_the_bytes_that_are_there(ledger_driver: LedgerDriver) -> None:
    """The file was replaced, and restored with its time: it is the first arrival again, although a later one exists."""
    (first,) = build_arrivals(1, uri="one.dcm")
    second = replace(first, size=first.size + 1)
    for arrival, sha256 in ((first, "1"), (second, "2")):
        ledger_driver.register([arrival])
        ledger_driver.analyse_all(content=sha256 * 64)
    ledger_driver.register([first])

    assert queries.newest_at(ledger_driver.database, ledger_driver.source_id, ["one.dcm"]) == (1,)


def test_a_run_over_one_archive_counts_its_members(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, settings: Settings
) -> None:
    """Members are arrivals of their own, also those of an archive inside of the archive."""
    archives = ledger.ensure_source(
        ledger_driver.database, name=ARCHIVES, kind=ARCHIVES, root="/spool", now=ledger_driver.clock()
    )
    ledger_driver.register(make_arrivals(1, uri="neighbour.dcm"))
    ledger_driver.analyse_all()
    ledger_driver.register(make_arrivals(1, uri="outer.zip"))
    for members in (make_arrivals(1), make_arrivals(3)):
        annotations = Annotations(members=Members(source_id=archives, arrivals=tuple(members)))
        ledger_driver.analyse_all(state=State.EXPANDED, annotations=annotations)
    ledger_driver.analyse_all()

    assert _summary(ledger_driver, settings, 2).tally == queries.Tally(arrived=5, expanded=2, done=3)


@pytest.mark.parametrize(("number", "shown"), [(20, True), (21, False)])
def test_up_to_20_images_are_printed_with_their_results(
    ledger_driver: LedgerDriver,
    make_arrivals: MakeArrivals,
    settings: Settings,
    bundle_id: int,
    number: int,
    *,
    shown: bool,
) -> None:
    """The table is that of `nightread query`."""
    ledger_driver.register(make_arrivals(number))
    ledger_driver.analyse_all(bundle_id=bundle_id, label="nodule", score=0.875)
    screen = StringIO()

    show_results(Console(file=screen, width=300), _summary(ledger_driver, settings), ledger_driver.database, settings)

    assert screen.getvalue().count("done") == (number if shown else 0)
    assert ("nodule" in screen.getvalue()) == shown


def _filter(summary: Summary) -> queries.ImageFilter:
    return queries.ImageFilter(scope=summary.scope)
