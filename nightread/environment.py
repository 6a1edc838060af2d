"""Read what the environment says beside the settings: the settings file, and files that hold secrets."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from nightread.errors import UsageFault

_PREFIX = "NIGHTREAD_"
_SUFFIX = "_FILE"


def settings_file(config: Path | None) -> Path | None:
    """Return `config`, else the file in NIGHTREAD_CONFIG, else None."""
    return config or (Path(named) if (named := os.environ.get("NIGHTREAD_CONFIG")) else None)


def own_variables() -> set[str]:
    """Return the names of all variables NIGHTREAD_... as the environment has them, in upper or lower case."""
    return {name for name in os.environ if name.upper().startswith(_PREFIX)}


def foreign_variables() -> dict[str, str]:
    """Return the environment without variables NIGHTREAD_..., for a process that must not know any password."""
    own = own_variables()
    return {name: value for name, value in os.environ.items() if name not in own}


def secret_names(settings: type[BaseSettings]) -> set[str]:
    """Return the names of the settings that hold a secret: each may also come from a file."""
    return {name for name, field in settings.model_fields.items() if field.annotation == SecretStr | None}


class SecretFiles(PydanticBaseSettingsSource):
    """Reads secrets from the files that `NIGHTREAD_<NAME>_FILE` names, as container engines mount them."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - pydantic's
        """Return the secret of one setting from its file; None if there is no file, or if a variable holds the secret.

        The variable has precedence, because a child process of `up --user` gets the secret in this variable, and may
        not be permitted to read the file.
        """
        written = {name.upper(): name for name in own_variables()}
        if os.environ.get(written.get(f"{_PREFIX}{field_name.upper()}", "")):
            return None, field_name, False
        variable = written.get(f"{_PREFIX}{field_name.upper()}{_SUFFIX}", "")
        path = os.environ.get(variable)
        return (_read(variable, Path(path)) if path else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all secrets that files hold. Raises UsageFault if a file cannot be read or is empty."""
        fields = self.settings_cls.model_fields
        values = {name: self.get_field_value(fields[name], name)[0] for name in secret_names(self.settings_cls)}
        return {name: value for name, value in values.items() if value is not None}


def with_password(url: str, password: SecretStr | None) -> str:
    """Return the URL with the password. A URL that has a password, or names a file or a Redis socket, is not changed.

    The URL of a PostgreSQL socket has no host (`postgresql:///name?host=/run/pg`). It gets the password too, because
    PostgreSQL may ask for it.
    """
    parts = urlsplit(url)
    if password is None or parts.password is not None or "password" in parse_qs(parts.query):
        return url
    if not parts.netloc and not parts.scheme.startswith("postgresql"):
        return url
    user, _, host = parts.netloc.rpartition("@")
    netloc = f"{user}:{quote(password.get_secret_value(), safe='')}@{host}"
    return f"{parts.scheme}://{netloc}{url.partition('://')[2].removeprefix(parts.netloc)}"


def _read(variable: str, path: Path) -> str:
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageFault(
            f"{variable}: {path} cannot be read ({type(error).__name__}): check the path and permissions."
        ) from None
    if not secret:
        raise UsageFault(f"{variable}: {path} is empty: write the secret into it.")
    return secret
