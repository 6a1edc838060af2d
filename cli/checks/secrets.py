"""Find passwords that are easy to guess, and files of secrets that other users can read."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cli.checks.check import Check
from nightread.environment import secret_names
from nightread.errors import UsageFault
from nightread.setting_problems import read_config
from nightread.settings import Settings

_KNOWN = frozenset(
    (
        "", "1234", "12345", "123456", "12345678", "admin", "administrator", "changeme", "change-me", "default", "demo",
        "dcm4chee", "example", "flower", "foobared", "guest", "nightread", "operator", "orthanc", "pass", "password",
        "postgres", "postgresql", "redis", "root", "secret", "test", "valkey",
    )
)  # fmt: skip
"""Passwords of examples and of fresh installations."""
_SHORTEST = 8
_MAKE = "It is well known or easy to guess: use a random password, for example from `openssl rand -hex 24`."


def check_secrets(settings: Settings, config: Path | None) -> Iterator[Check]:
    """Check each password of the settings, and who can read the settings file `config` and the files of secrets."""
    weak = [where for where, user, password in _passwords(settings) if _is_weak(user, password)]
    for where in weak:
        yield Check.warn(f"password of {where}", "a default, the user name, or too short", _MAKE)
    if not weak:
        yield Check.ok("passwords", "none is a default or short")
    yield from _files(settings, config)


def _passwords(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield (where it is used, its user, the password) for each password of the settings."""
    urls = (
        ("Redis", settings.redis_url, settings.redis_password),
        ("the database", settings.database_url, settings.database_password),
    )
    for where, url, separate in urls:
        parts = urlsplit(url.get_secret_value()) if url else None
        password = (
            separate.get_secret_value() if separate else unquote(parts.password) if parts and parts.password else None
        )
        if password is not None:
            yield where, (parts.username if parts else None) or "", password
    if settings.flower_auth is not None:
        user, _, password = settings.flower_auth.get_secret_value().partition(":")
        yield "Flower", user, password
    if settings.smtp_password is not None:
        yield "the mail server", settings.smtp_user or "", settings.smtp_password.get_secret_value()
    for entry in (*settings.sources, *settings.destinations):
        login = getattr(entry, "login", None)
        if login is not None and login.password is not None:
            yield entry.name, login.user or "", login.password.get_secret_value()


def _is_weak(user: str, password: str) -> bool:
    return password.lower() in _KNOWN | {user.lower()} or len(password) < _SHORTEST


def _files(settings: Settings, config: Path | None) -> Iterator[Check]:
    if config is not None and _holds_secret(config) and (mode := _open_to_others(config)):
        yield Check.warn("settings file", f"{config} has secrets and mode {mode}", f"`chmod 600 {config}`")
    for path in (settings.state_dir, settings.state_dir / "site.key", settings.spool_folder):
        if mode := _open_to_others(path):
            remedy = f"`chmod go= {path}`: it contains data that identify patients."
            yield Check.warn("file modes", f"{path} is open to other users (mode {mode})", remedy)


def _open_to_others(path: Path) -> str | None:
    """Return the mode if the group or others have any right; None if they have no right, or if there is no file."""
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return None
    return f"{mode:04o}" if mode & 0o077 else None


def _holds_secret(config: Path) -> bool:
    try:
        written = read_config(config)
    except UsageFault:
        return False
    logins = [entry.get("login", {}) for name in ("sources", "destinations") for entry in written.get(name, ())]
    channels = written.get("alarm_channels", ())
    return (
        bool(secret_names(Settings) & written.keys())
        or any({"password", "bearer"} & login.keys() for login in logins)
        or any("secret" in channel or (channel.get("kind") == "apprise" and "url" in channel) for channel in channels)
    )
