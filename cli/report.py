"""Define `nightread report`: write the night page as one file, and send it by mail."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from api.pages.night_content import NightContent, night_content
from api.pages.period import night_of
from api.pages.report import PictureOf, report_page, report_subject, report_text
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.output.console import err, out
from cli.output.written_file import write_page
from db.drift.comparison import refresh_night
from db.engine import Database
from delivery.mail import MailReport, require_encryption, require_mail_settings, send_mail
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.nights import evening_named, nights_of
from nightread.settings import Settings
from nightread.wording import counted


@click.command("report")
@click.option(
    "--night", default="last", show_default=True, metavar="DATE|last", help="The night that began on this date."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="HTML file to write; - for standard output.",
)
@click.option("--send-to", "addresses", metavar="ADDRESS", multiple=True, help="Send the report to this address.")
@click.option(
    "--with-identifiers",
    is_flag=True,
    help="Name studies by their UIDs. By default the report names no patient, study or path.",
)
@click.option("--no-pictures", is_flag=True, help="Leave out the pictures of the most suspicious images.")
@state_options
def report_command(
    night: str,
    output: Path | None,
    addresses: tuple[str, ...],
    with_identifiers: bool,
    no_pictures: bool,
    **options: Any,
) -> None:
    """Write the night page as one self-contained HTML file, or send it by mail.

    The mail server is set by NIGHTREAD_SMTP_HOST, NIGHTREAD_SMTP_FROM and the other settings smtp_*.

    \b
    Examples: nightread report -o night.html
              nightread report --night 2026-11-05 -o night.html --with-identifiers
              nightread report --send-to ops@hospital.example --send-to readers@hospital.example
    """  # noqa: D301 - click reads the backspace itself
    if output is None and not addresses:
        raise UsageFault("Where should the report go? Give -o FILE, or --send-to ADDRESS.")
    settings = settings_from(**options)
    if addresses:
        require_mail_settings(settings, addresses)
    if addresses and with_identifiers:
        require_encryption(settings)
    nights, now = nights_of(settings), utc_now()
    period = night_of(nights, evening_named(night, nights))
    with open_existing_database(settings) as database, one_line_errors():
        if now >= nights.bounds(period.date)[1]:
            refresh_night(database, nights, period.date)
        content = night_content(database, settings, nights, period, now=now)
        with nullcontext() if no_pictures else _pictures(settings, database) as picture_of:
            page = report_page(content, settings, nights, picture_of=picture_of, identifiers=with_identifiers)
    if output is not None:
        write_page(page, output)
    if addresses:
        _send(settings, addresses, content, page, now)


@contextmanager
def _pictures(settings: Settings, database: Database) -> Iterator[PictureOf]:
    """Yield a function that returns the PNG file of an image, or None if no picture of it may or can be shown."""
    if find_spec("cv2") is None:
        yield lambda _image_id: None
        return
    from api.pictures.finding import find_image, thumbnail_request  # noqa: PLC0415 - hosts without OpenCV have no pictures
    from api.pictures.picture import NoPictureError  # noqa: PLC0415
    from api.pictures.pictures import Pictures  # noqa: PLC0415

    pictures = Pictures(settings, database)

    def picture_of(image_id: int) -> bytes | None:
        try:
            return pictures.get(thumbnail_request(database, find_image(database, image_id), settings)).content
        except NoPictureError:
            return None

    try:
        yield picture_of
    finally:
        pictures.close()


def _send(settings: Settings, addresses: tuple[str, ...], night: NightContent, page: str, now: datetime) -> None:
    """Send the report. Exit code 1 if the server refused an address."""
    report = MailReport(
        subject=report_subject(night),
        text=report_text(night, settings),
        file_name=f"night-{night.period.date.isoformat()}.html",
        html=page,
    )
    refused = send_mail(settings, addresses, report, now=now)
    sent = len(addresses) - len(refused)
    if sent:
        out.print(f"Sent to {counted(sent, 'address', 'addresses')}.")
    for address in refused:
        err.print(f"The mail server refused {address}.", style="red")
    if refused:
        sys.exit(1)
