"""Tell the operator where Flower is, and how to log in."""

import click

from cli.embedded.flower_login import flower_login, login_file, new_login
from cli.output.address_line import AddressLine
from cli.output.console import err
from nightread.errors import UsageFault
from nightread.settings import Settings

_AGAIN = "`nightread flower --new-password` replaces it"


def flower_address_lines(settings: Settings) -> list[AddressLine]:
    """Return the line with the address of Flower, if it is started."""
    if not settings.flower_port:
        return []
    line = f"Flower   http://{settings.flower_address}:{settings.flower_port}"
    return [AddressLine(line, settings.flower_address, settings.flower_port)]


def announce_login(settings: Settings) -> None:
    """Create the login if it is missing. A new password is shown once, and only on a terminal, never in logs."""
    path = login_file(settings)
    if path is None:
        return
    is_new = not path.exists()
    user, _, password = flower_login(settings).partition(":")
    if is_new and err.is_terminal:
        err.print(f"Flower   user {user}, password {password} (shown only now; {_AGAIN})")
    else:
        err.print(f"Flower   user {user}, password in {path}; {_AGAIN}")


def show_new_login(settings: Settings) -> None:
    """Replace the generated password and print it. Raises UsageFault if the settings have a login."""
    path = login_file(settings)
    if path is None:
        raise UsageFault("The login of Flower is the setting flower_auth: change it there and restart Flower.")
    user, _, password = new_login(path).partition(":")
    click.echo(f"user {user}, password {password}")
