"""Run Celery's Flower read-only, with a login, and only under permitted host names.

Run it with `python -m cli.embedded.flower_server`. The arguments are the same as for the program `celery`. The login is
read from the settings or the state folder, so it is not in the arguments. Options in Flower's environment variables
(`FLOWER_...`) cannot turn this protection off. Each page also shows what waits and whether dispatch is paused
(cli.embedded.flower_queue).
"""

import socket
import sys
from contextlib import suppress
from typing import Any
from uuid import uuid4

import flower.app
import flower.command
from celery.__main__ import main as celery_main
from flower.app import Flower
from redis.exceptions import RedisError
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import PeriodicCallback
from tornado.web import RequestHandler, url

from cli.embedded.flower_history import TidyEvents
from cli.embedded.flower_login import flower_login
from cli.embedded.flower_queue import QueueLine, QueuePage
from cli.embedded.flower_templates import FlowerTemplates
from db.ledger.heartbeats import HEARTBEAT_SECONDS
from nightread.core_dumps import forbid_core_dumps
from nightread.known_hosts import is_known_host
from nightread.notify import open_redis
from nightread.redis_signs import leave_sign
from nightread.settings import Settings, load_settings

_REFUSAL = "Flower is not known by this host name. Add the name to the setting flower_hosts.\n"


class GuardedFlower(Flower):  # type: ignore[misc]
    """Flower that requires the login, and refuses requests whose Host header does not name this server."""

    nightread_settings: Settings

    def __init__(self, **options: Any) -> None:
        super().__init__(template_loader=FlowerTemplates(), **options)
        self.options.read_only = True
        self.options.auth = ""
        self._renew_login()

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """Choose the handler of a request; read the login again first, because it may have been replaced."""
        settings = self.nightread_settings
        if not is_known_host(request.headers.get_list("Host"), settings.flower_address, settings.flower_hosts):
            return self.get_handler_delegate(request, UnknownHost)
        self._renew_login()
        return super().find_handler(request, **options)

    def _renew_login(self) -> None:
        self.options.basic_auth = [flower_login(self.nightread_settings)]

    def start(self) -> None:
        """Run the server. While it runs, write a sign of life to Redis every ten seconds."""
        self._signs = _Signs(self.nightread_settings)
        PeriodicCallback(self._leave_sign, HEARTBEAT_SECONDS * 1000).start()
        self.io_loop.add_callback(self._leave_sign)
        super().start()

    def stop(self) -> None:
        """Record in Redis that Flower stops on purpose, and stop."""
        if self.started:
            self._signs.leave(stopped=True)
        super().stop()

    async def _leave_sign(self) -> None:
        await self.io_loop.run_in_executor(None, self._signs.leave)


class _Signs:
    """Writes to Redis that this process is alive, or that it was stopped on purpose."""

    def __init__(self, settings: Settings) -> None:
        self._redis = open_redis(settings.require_redis_url())
        self._boot_id = str(uuid4())
        self._node = f"{socket.gethostname()}-{settings.flower_port}"

    def leave(self, *, stopped: bool = False) -> None:
        """Write to Redis that Flower is alive, or with `stopped` that it stops on purpose.

        Errors of Redis are ignored, because without Redis Flower shows nothing either.
        """
        with suppress(RedisError, OSError):
            leave_sign(self._redis, node=self._node, boot_id=self._boot_id, stopped=stopped)


class UnknownHost(RequestHandler):
    """Refuses every request whose Host header does not name this server.

    The response repeats nothing from the request.
    """

    def check_xsrf_cookie(self) -> None:
        """Accept the request here; `prepare` refuses it."""

    def prepare(self) -> None:
        """Refuse the request."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(_REFUSAL)


def main() -> None:
    """Run the command `flower` of Celery with the guarded application."""
    forbid_core_dumps()
    GuardedFlower.nightread_settings = settings = load_settings()
    flower.command.Flower = GuardedFlower
    flower.app.Events = TidyEvents
    redis = {"redis": open_redis(settings.require_redis_url())}
    flower.app.default_handlers[:0] = [
        url(r"/queue", QueuePage, redis, name="queue"),
        url(r"/api/queue", QueueLine, redis, name="queue-line"),
    ]
    sys.exit(celery_main())


if __name__ == "__main__":
    main()
