"""Tell the operator the address of a server as soon as it accepts connections."""

import socket

from cli.output.console import err

_CONNECT_SECONDS = 1.0


class AddressLine:
    """A line with the address of a server. It is printed once, when the server accepts connections.

    On a busy machine this takes seconds, in which a person who opens the address would see an error.
    """

    def __init__(self, line: str, address: str, port: int) -> None:
        """Print nothing yet."""
        self._line, self._place = line, (address, port)

    def check(self) -> None:
        """Print the line if the server accepts connections now for the first time."""
        if self._line and self._is_listening():
            err.print(self._line, markup=False)
            self._line = ""

    def _is_listening(self) -> bool:
        try:
            with socket.create_connection(self._place, timeout=_CONNECT_SECONDS):
                return True
        except OSError:
            return False
