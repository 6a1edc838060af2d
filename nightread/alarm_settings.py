"""Define the settings of alarms, of their channels and of the outside monitor: a part of nightread.settings."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import time
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FieldSerializationInfo,
    SecretStr,
    StringConstraints,
    field_serializer,
    model_validator,
)
from pydantic_settings import BaseSettings

from nightread.alarm_rules import AlarmRule
from nightread.result_rules import ResultRule
from nightread.sources import AbsolutePath, Destination, Seconds, reveal

_NAME_LENGTH = 64
_SECRET_LENGTH = 16
ChannelName = Annotated[str, StringConstraints(min_length=1, max_length=_NAME_LENGTH, pattern=r"^[\w.-]+$")]


def _with_valid_host(url: str) -> str:
    """Return the URL. Raises ValueError, whose message does not quote the URL, if the host or the port is invalid."""
    try:
        parts = urlsplit(url)
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError("the host or the port of the URL is invalid: give a URL such as https://host:443/path")
    return url


def _with_http(secret: SecretStr) -> SecretStr:
    """Return the URL. Raises ValueError, whose message does not quote the URL, if it is no URL of a web server."""
    url = secret.get_secret_value()
    if re.fullmatch(r"https?://[^/?#@\s]+([/?][^#\s]*)?", url) is None:
        raise ValueError("this is not the URL of a web server: give a URL such as https://hc-ping.com/UUID")
    _with_valid_host(url)
    return secret


PlainHttpUrl = Annotated[
    str, StringConstraints(pattern=r"^https?://[^/?#@\s]+(/[^#\s]*)?$"), AfterValidator(_with_valid_host)
]
MonitorUrl = Annotated[SecretStr, AfterValidator(_with_http)]


class _Channel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: ChannelName = Field(description="Unique name of the channel.")
    rules: tuple[AlarmRule, ...] = Field((), description="Only alarms of these rules; empty: all alarms.")
    critical_only: bool = Field(False, description="Only alarms that say that images are not noticed or not analysed.")


class MailChannel(_Channel):
    """Mail through the server of the settings `smtp_*`."""

    kind: Literal["mail"]
    to: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="Addresses of the receivers.")


class WebhookChannel(_Channel):
    """A POST of JSON, signed by HMAC-SHA256 (docs/alarms.md)."""

    kind: Literal["webhook"]
    url: PlainHttpUrl = Field(description="URL of the receiver; https, except on this host or a trusted network.")
    secret: SecretStr | None = Field(
        None, min_length=_SECRET_LENGTH, description="Key of the signature, at least 16 characters."
    )
    secret_file: AbsolutePath | None = Field(None, description="File with the key, instead of `secret`.")
    timeout_seconds: Seconds = Field(10, le=30, description="Maximum time to connect, and then for the request.")

    @model_validator(mode="after")
    def _check_webhook(self) -> Self:
        if (self.secret is None) == (self.secret_file is None):
            raise ValueError("give either `secret` or `secret_file`")
        return self

    def read_secret(self) -> str:
        """Return the key, which is read from its file each time. Raises OSError, ValueError."""
        if self.secret is not None:
            return self.secret.get_secret_value()
        secret = _read(self.secret_file)
        if len(secret) < _SECRET_LENGTH:
            raise ValueError(f"the key has fewer than {_SECRET_LENGTH} characters")
        return secret

    @field_serializer("secret")
    def _reveal_to_children(self, value: SecretStr | None, info: FieldSerializationInfo) -> str | None:
        return None if value is None else reveal(value, info)


class CommandChannel(_Channel):
    """A program that gets the same JSON as a webhook, on its standard input."""

    kind: Literal["command"]
    command: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Program and arguments; no shell is involved."
    )
    timeout_seconds: Seconds = Field(30, le=60, description="After this time the program is killed.")


class AppriseChannel(_Channel):
    """Any service that Apprise knows: chat, pagers, SMS (`pip install 'nightread[apprise]'`)."""

    kind: Literal["apprise"]
    url: SecretStr | None = Field(None, description="URL of the service, as Apprise writes it; it contains the login.")
    url_file: AbsolutePath | None = Field(None, description="File with the URL, instead of `url`.")

    @model_validator(mode="after")
    def _check_apprise(self) -> Self:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("give either `url` or `url_file`")
        return self

    def read_url(self) -> str:
        """Return the URL, which is read from its file each time. Raises OSError, ValueError."""
        return self.url.get_secret_value() if self.url is not None else _read(self.url_file)

    @field_serializer("url")
    def _reveal_to_children(self, value: SecretStr | None, info: FieldSerializationInfo) -> str | None:
        return None if value is None else reveal(value, info)


Channel = Annotated[MailChannel | WebhookChannel | CommandChannel | AppriseChannel, Discriminator("kind")]


class AlarmSettings(BaseSettings):
    """The settings of alarms, their channels, the rules on results and the outside monitor."""

    watchdog_seconds: Seconds = Field(30, le=300, description="Interval of the checks of `nightread watchdog`.")
    alarm_channels: tuple[Channel, ...] = Field(
        (), description="Who is told of alarms, besides the log: entries of the kinds mail, webhook, command, apprise."
    )
    alarm_repeat_seconds: float = Field(
        3600, ge=0, description="An open alarm that nobody acknowledged is sent again after this time; 0: never."
    )
    alarm_arrivals_by: time | None = Field(
        None,
        description="Local time by which each source of the settings must have sent something in each night; unset: "
        "the usual times of each source and sender decide.",
    )
    alarm_bad_share: float = Field(
        0.2, gt=0, le=1, description="Alarm if at least this share of the outcomes of an hour is defective or failed."
    )
    alarm_bad_images: int = Field(20, ge=1, description="With fewer outcomes than this, the share is not checked.")
    alarm_oldest_hours: float = Field(
        8, ge=0, description="Alarm if an image waits longer than this for its analysis; 0: never."
    )
    alarm_delivery_minutes: float = Field(
        30, gt=0, description="Alarm if a report is not delivered within this time after it was created."
    )
    alarm_keep_days: float = Field(400, gt=0, description="Days after which closed alarms are removed.")
    result_rules: tuple[ResultRule, ...] = Field(
        (),
        description="Rules on results: actions that a label, score, model or source causes; try them with "
        "`nightread result-rules --dry-run`.",
    )
    monitor_url: MonitorUrl | None = Field(
        None,
        description="Ping URL of an outside monitor such as healthchecks.io, which alarms if the pings stop; the URL "
        "is a secret.",
    )

    @field_serializer("monitor_url")
    def _reveal_monitor_to_children(self, value: SecretStr | None, info: FieldSerializationInfo) -> str | None:
        return None if value is None else reveal(value, info)


def _read(file: Path | None) -> str:
    """Return the secret in a file. Raises OSError, and ValueError for a file that is empty or not text."""
    secret = file.read_text("utf-8").strip() if file is not None else ""
    if not secret:
        raise ValueError("the file is empty")
    return secret


def check_channels(
    channels: Sequence[Channel], rules: Sequence[ResultRule], destinations: Sequence[Destination]
) -> None:
    """Raise ValueError if a name of a channel or rule is used twice, or a rule names a target that is not defined."""
    for setting, entries in (("alarm_channels", channels), ("result_rules", rules)):
        duplicates = [name for name, times in Counter(entry.name for entry in entries).items() if times > 1]
        if duplicates:
            raise ValueError(f"{setting}: the name {duplicates[0]} is used twice; give each entry its own name")
    known = {channel.name for channel in channels}
    by_rules = {destination.name for destination in destinations if destination.studies == "rules"}
    for rule in rules:
        if rule.webhook is not None and rule.webhook not in known:
            raise ValueError(
                f"result_rules: {rule.name} names the channel {rule.webhook}, which alarm_channels does not define"
            )
        if rule.destination is not None and rule.destination not in by_rules:
            raise ValueError(
                f'result_rules: {rule.name} names {rule.destination}, which is not a destination with studies = "rules"'
            )
