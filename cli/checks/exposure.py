"""Check who can reach nightread, and with which rights it runs."""

from collections.abc import Iterator

from cli.checks.check import Check
from cli.embedded.privileges import is_root
from nightread.exposure import exposures
from nightread.settings import Settings


def check_exposure(settings: Settings) -> Iterator[Check]:
    """Warn if nightread runs as root, and if a setting admits unknown senders or sends secrets unencrypted."""
    if is_root():
        remedy = "Start nightread as its own user; from root, `nightread up --user NAME` continues as that user."
        yield Check.warn("user", "root, who may do everything on this machine", remedy)
    found = list(exposures(settings))
    for exposure in found:
        yield Check.warn(exposure.where, exposure.found, exposure.remedy)
    if not found:
        yield Check.ok("exposure", "no receiver admits unknown hosts, and no secret is sent unencrypted")
