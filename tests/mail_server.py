"""Run a real mail server that keeps what it receives."""

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from compose_processes import free_port


@contextmanager
def mail_server(**options: Any) -> Iterator[tuple[int, list[EmailMessage]]]:
    """Run a mail server on a free port of this machine; yields the port and what it received."""
    received: list[EmailMessage] = []

    class Handler:
        async def handle_RCPT(self, *details: Any) -> str:  # noqa: N802 - the name is the library's
            _, _, envelope, address, _ = details
            if address.startswith("unknown@"):
                return "550 no such user"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, *details: Any) -> str:  # noqa: N802
            _, _, envelope = details
            received.append(message_from_bytes(envelope.content, policy=policy.default))
            return "250 OK"

    controller = Controller(Handler(), hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port, received
    finally:
        controller.stop()
