"""Describe wrong settings: where each was written, what is wrong, and which key was probably meant."""

import tomllib
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from nightread.environment import own_variables, secret_names
from nightread.errors import UsageFault
from nightread.settings import Settings

_UNKNOWN = "extra_forbidden"
_SIMILAR = 0.6
_AE_TITLE = "give an AE title of 1 to 16 ASCII characters without backslash"
_FORMS = {
    "url": "give an address such as http://pacs.example:8042, without user and password",
    "ae_title": _AE_TITLE,
    "calling_ae_title": _AE_TITLE,
}
_OWN_VARIABLES = frozenset(("NIGHTREAD_CONFIG", "NIGHTREAD_REQUIRE_SERVERS"))
_TEST_PREFIX = "NIGHTREAD_TEST_"


def read_config(config: Path) -> dict[str, Any]:
    """Read the TOML file. Raises UsageFault, with file and line, if it is missing, unreadable or invalid TOML."""
    try:
        return tomllib.loads(config.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageFault(f"There is no settings file {config}. Check --config and NIGHTREAD_CONFIG.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageFault(f"{config} is invalid TOML: {error}.") from None
    except RecursionError:
        raise UsageFault(f"{config} is nested too deeply: a settings file has two or three levels.") from None
    except UnicodeDecodeError:
        raise UsageFault(f"{config} is not in UTF-8: save it in this encoding.") from None
    except OSError as error:
        raise UsageFault(f"{config} cannot be read ({type(error).__name__}): check the path and permissions.") from None


def setting_problems(error: ValidationError, config: Path | None, overrides: Collection[str]) -> Iterator[str]:
    """Yield one line per problem. `overrides` names the settings that were given as arguments."""
    written = read_config(config) if config else {}
    variables = {name.upper(): name for name in own_variables()}
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        location = problem["loc"]
        first = str(location[0]) if location else ""
        variable = f"NIGHTREAD_{first.upper()}"
        if first in overrides or variable in variables or first not in written:
            name = variable if first in overrides else variables.get(variable, variable)
            place = f"{name}: " if first else (f"{config}: " if written else "")
            yield f"{place}{_message(first, problem)}"
        else:
            yield f"{config}: {_in_file(location, problem, written)}"


def unknown_variables() -> Iterator[str]:
    """Yield one line for each variable NIGHTREAD_... that is no setting and is therefore ignored."""
    files = {f"{name}_file" for name in secret_names(Settings)}
    known = {f"NIGHTREAD_{name.upper()}" for name in Settings.model_fields.keys() | files}
    for name in sorted(own_variables() - _OWN_VARIABLES):
        if name.upper() not in known and not name.startswith(_TEST_PREFIX):
            yield f"{name} is not a setting and is ignored.{_suggest(name, known)}"


def _in_file(location: tuple[int | str, ...], problem: Any, written: dict[str, Any]) -> str:
    """Describe a problem of the settings file, and name tables and entries as they are written there."""
    tables, key, parent = _as_written(location, written)
    where = f" in {tables}" if tables else ""
    if problem["type"] == _UNKNOWN:
        misplaced = key in Settings.model_fields and tables
        hint = " It is a setting of its own: write it above the first [table]." if misplaced else ""
        return f"unknown key `{key}`{where}.{hint or _suggest(key, _known_keys(location, parent))}"
    if problem["type"] == "missing":
        return f"the key `{key}` is missing{where}."
    return f"`{key}`{_entry(location, key)}{where}: {_message(key, problem)}"


def _entry(location: tuple[int | str, ...], key: str) -> str:
    """Return ` number N` for a wrong entry of an array, else empty text. If the entry is a table, `key` says N."""
    last = location[-1] if location else ""
    return f" number {last + 1}" if isinstance(last, int) and not key.startswith("[[") else ""


def _message(key: str, problem: Any) -> str:
    """Return what is wrong. If a pattern does not match, describe the form of the value instead of the pattern."""
    if problem["type"] == "string_pattern_mismatch" and key in _FORMS:
        return _FORMS[key]
    return str(problem["msg"]).removeprefix("Value error, ")


def _as_written(location: tuple[int | str, ...], written: dict[str, Any]) -> tuple[str, str, Any]:
    """Return the tables around a key, the key, and the value that holds the key.

    A location of pydantic has parts that are not keys of the file, such as the kind of an entry. They are left out.
    """
    present: Any = written
    parent: Any = written
    names: list[str] = []
    for number, part in enumerate(location):
        is_last = number == len(location) - 1
        if isinstance(part, int) and isinstance(present, list) and part < len(present):
            parent, present = present, present[part]
            if isinstance(present, dict):  # a table, written [[name]]; other entries have no name of their own
                names[-1] = f"[[{names[-1]}]] number {part + 1}"
        elif isinstance(present, dict) and (part in present or is_last):
            parent, present = present, present.get(part)
            names.append(str(part))
    key = names.pop() if names else str(location[-1])
    return ", ".join(name if name.startswith("[[") else f"[{name}]" for name in names), key, parent


def _known_keys(location: tuple[int | str, ...], parent: Any) -> set[str]:
    """Return the keys that the table around the last part of the location may have."""
    models: list[type[BaseModel]] = [Settings]
    for part in location[:-1]:
        fields = [model.model_fields[part] for model in models if isinstance(part, str) and part in model.model_fields]
        models = [model for field in fields for model in _models(field)] or models
    kind = parent.get("kind", "folder") if isinstance(parent, dict) else None
    chosen = [model for model in models if _kind(model) == kind] or models
    return {name for model in chosen for name in model.model_fields}


def _kind(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("kind")
    return field.default if field else None


def _models(field: FieldInfo) -> Iterator[type[BaseModel]]:
    waiting: list[Any] = [field.annotation]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind
        waiting.extend(get_args(kind))


def _suggest(key: str, known: Collection[str]) -> str:
    by_form = {name.lower().replace("-", "_"): name for name in known}
    similar = get_close_matches(key.lower().replace("-", "_"), by_form, n=1, cutoff=_SIMILAR)
    return f" Did you mean `{by_form[similar[0]]}`?" if similar else " `nightread settings` lists all settings."
