"""Define `nightread doctor`: check whether nightread works on this machine with these settings."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from cli.checks.certificates import check_certificates
from cli.checks.check import Check
from cli.checks.database import check_database
from cli.checks.decoders import check_decoders
from cli.checks.exposure import check_exposure
from cli.checks.machine import check_machine
from cli.checks.models import check_models
from cli.checks.packages import check_packages
from cli.checks.peers import check_peers
from cli.checks.ports import check_ports
from cli.checks.redis import check_redis
from cli.checks.secrets import check_secrets
from cli.checks.sources import check_sources
from cli.checks.spool import check_spool
from cli.inputs.options import settings_from, state_options
from cli.output.console import out, print_json
from cli.output.tables import make_table, show
from nightread.clock import utc_now
from nightread.environment import settings_file
from nightread.settings import Settings

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command("doctor")
@click.option("--model", metavar="NAME[@VERSION]", help="The model that will analyse every image.")
@click.option("--peers", is_flag=True, help="Also contact stores, destinations, mail server and own receivers.")
@click.option("--strict", is_flag=True, help="Exit with code 1 also if there is only a warning.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def doctor_command(as_json: bool, peers: bool, strict: bool, **options: Any) -> None:
    """Check this machine and the settings.

    Check Python, packages, decoders, Redis, database, schema, backup, models, sources, ports, passwords, certificates,
    processors, memory, disk, clock and who can reach nightread, and print how to fix problems. Without --peers only the
    configured Redis and database are contacted. --peers also sends a C-ECHO to receivers and PACS, a request to
    DICOMweb and Orthanc stores, a login to the mail server, and a test object to destinations with `test_object`. Exit
    code 1: a check failed.

    \b
    Examples: nightread doctor
              nightread doctor --peers --config /etc/nightread.toml
              nightread doctor --strict --json
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    checks = [*examine(settings, settings_file(options["config"])), *(check_peers(settings) if peers else ())]
    failed = any(check.result == "fail" or (strict and check.result == "warn") for check in checks)
    if as_json:
        print_json({"ok": not failed, "checks": [_json(check) for check in checks]})
    else:
        _show(checks)
    sys.exit(1 if failed else 0)


def examine(settings: Settings, config: Path | None) -> list[Check]:
    """Run all checks of this machine, in the order in which problems should be fixed; `config` is the settings file."""
    postgres = settings.database_url is not None and settings.sql_url.startswith("postgres")
    works_here = settings.model is not None
    return [
        *check_packages(works_here=works_here, uses_postgres=postgres),
        *check_decoders(works_here=works_here),
        *check_redis(settings),
        *check_database(settings),
        *check_models(settings),
        *check_sources(settings),
        *check_ports(settings),
        *check_machine(settings),
        *check_spool(settings),
        *check_secrets(settings, config),
        *check_certificates(settings, utc_now()),
        *check_exposure(settings),
    ]


def _json(check: Check) -> dict[str, Any]:
    """Return the check for `--json`; `verdict` is the old name of `result` and is removed in release 0.2."""
    return asdict(check) | {"verdict": check.result}


def _show(checks: Sequence[Check]) -> None:
    table = make_table(out, "", "", "found", show_header=False)
    for check in checks:
        found, remedy = Text(check.found), Text(check.remedy or "", style="italic")
        if remedy and not out.is_terminal:
            found = Text.assemble(found, "  ", remedy)
        table.add_row(Text(check.result, style=_COLOURS[check.result]), Text(check.name), found)
        if remedy and out.is_terminal:
            table.add_row("", "", remedy)
    show(out, table)
