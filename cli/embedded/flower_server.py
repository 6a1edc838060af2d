"""Run Celery's Flower with a login, for known host names and without control: `python -m cli.embedded.flower_server`.

The arguments are those of the program `celery`. The login is read from the settings or the state folder, so it is in
no argument; options that the environment of Flower (`FLOWER_...`) sets cannot weaken any of this. Each page also says
what waits and whether dispatch is paused (cli.embedded.flower_queue).
"""

import sys
from typing import Any

import flower.app
import flower.command
from celery.__main__ import main as celery_main
from flower.app import Flower
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler, url

from cli.embedded.flower_history import TidyEvents
from cli.embedded.flower_login import flower_login
from cli.embedded.flower_queue import QueueLine, QueuePage
from cli.embedded.flower_templates import FlowerTemplates
from nightread.core_dumps import forbid_core_dumps
from nightread.known_hosts import is_known_host
from nightread.notify import open_redis
from nightread.settings import Settings, load_settings

_REFUSAL = "Flower is not known by this host name. Add the name to the setting flower_hosts.\n"


class GuardedFlower(Flower):  # type: ignore[misc]
    """Flower that answers known hosts only, and everyone only with the login."""

    nightread_settings: Settings

    def __init__(self, **options: Any) -> None:
        super().__init__(template_loader=FlowerTemplates(), **options)
        self.options.read_only = True
        self.options.auth = ""
        self._renew_login()

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """Choose the handler of a request, after the login was read again: it may have been replaced."""
        settings = self.nightread_settings
        if not is_known_host(request.headers.get_list("Host"), settings.flower_address, settings.flower_hosts):
            return self.get_handler_delegate(request, UnknownHost)
        self._renew_login()
        return super().find_handler(request, **options)

    def _renew_login(self) -> None:
        self.options.basic_auth = [flower_login(self.nightread_settings)]


class UnknownHost(RequestHandler):
    """Refuses a request with any method, without a word of what was asked."""

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
