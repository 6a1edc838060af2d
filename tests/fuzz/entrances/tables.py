"""Texts that people and senders write: manifests, label tables, settings, names."""

import json
import random

from hostile_texts import UNSAFE
from pydantic import ValidationError

from fuzz.entrances.entrance import Entrance
from fuzz.entrances.folder import folder
from fuzz.entrances.mutations import ODD_TEXTS, mutated_json, mutated_text
from imaging.facts import INTEGER_LIMIT
from models.datasets.label_table import read_label_table
from nightread.csv_cells import csv_cell
from nightread.errors import RejectImage, UsageFault
from nightread.paths import path_of, readable, uri_of
from nightread.plain_text import is_uid, safe_json, visible
from nightread.setting_problems import read_config, setting_problems
from nightread.settings import load_settings
from worker.sidecars.manifest import read_manifest

_ENTRIES = [{"study_instance_uid": f"1.2.826.{at}", "images": 10 * at} for at in range(3)]
_CSV = "study_instance_uid;images;remark\n1.2.826.1;6500;x\n1.2.826.2; 12;\n"
_LABELS = (
    'path,label,patient\na/1.dcm,clear,P1\n"b,2.dcm",nodule,P2\n',
    "sop_instance_uid;clear;nodule\n1.2.3;1;0\n1.2.4;0,0;1,0\n",
)
_SETTINGS = """
workers = 2
batch_seconds = 1.5
night_start = 18:00:00
temporary_suffixes = [".part", ".tmp"]
redis_url = "redis://127.0.0.1/0"
model = "phantom"
accept_raster = true
flower_auth = "user:password"

[roots]
inbox = "/srv/inbox"

[[sources]]
kind = "receiver"
name = "ct"
ae_title = "NIGHTREAD"
port = 11112
callers = [{ ae_title = "CT1", address = "10.1.0.0/16" }]

[sources.tls]
certificate = "/etc/tls.pem"
require_client = true

[[sources]]
kind = "dicomweb"
name = "archive"
url = "https://pacs.example:8042/dicom-web"
login = { user = "night", password = "secret" }
days = 3

[[destinations]]
kind = "store"
name = "pacs"
ae_title = "PACS"
address = "10.1.0.5"
"""
_ODD_TOML = (*ODD_TEXTS[:6], "true", "[[sources]]", "[a]", '"', "'''", "= ", "{", "[" * 3000, "2026-11-29", "0x1F")


def _make_manifest(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return mutated_text(_CSV, rng)
    return mutated_json(rng.choice((_ENTRIES, {"studies": _ENTRIES})), rng)


def _enter_manifest(data: bytes) -> str:
    try:
        counts = read_manifest(data)
    except RejectImage as rejected:
        return str(rejected.reason)
    if counts is None:
        return "no manifest"
    assert all(is_uid(uid) and 0 <= images <= INTEGER_LIMIT for uid, images in counts.items())
    return "read"


def _enter_labels(data: bytes) -> str:
    path = folder() / "labels.csv"
    path.write_bytes(data)
    try:
        table = read_label_table(path)
    except UsageFault:
        return "refused"
    assert table.rows
    assert all(len(row.truth) == len(table.labels) for row in table.rows.values())
    return "read"


def _enter_settings(data: bytes) -> str:
    """Read a settings file as commands do; the problems quote no password."""
    path = folder() / "night.toml"
    path.write_bytes(data)
    try:
        read_config(path)
        settings = load_settings(path)
    except UsageFault:
        return "refused"
    except ValidationError as error:
        problems = list(setting_problems(error, path, ()))
        assert problems
        return "refused with problems"
    settings.to_environment()
    return "read"


def _make_text(rng: random.Random) -> bytes:
    """Return text in UTF-8 in which any code point may occur, lone surrogates too."""
    letters = [chr(rng.choice((rng.randrange(0x100), rng.randrange(0x2000, 0x2100), rng.randrange(0x110000))))]
    letters += [rng.choice(ODD_TEXTS)[:100] for _ in range(rng.randrange(4))]
    letters += [chr(rng.randrange(0x110000)) for _ in range(rng.randrange(4))]
    rng.shuffle(letters)
    return "".join(letters).encode("utf-8", "surrogatepass")


def _enter_text(data: bytes) -> str:
    """Show a text in each way in which people see it, and check that nothing in it can deceive them."""
    text = data.decode("utf-8", "surrogatepass")
    shown = visible(text)
    assert not UNSAFE.search(shown)
    assert visible(shown) == shown
    cell = csv_cell(text)
    assert isinstance(cell, str)
    assert not UNSAFE.search(cell)
    document = safe_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert not UNSAFE.search(document)
    # JSON writes a high and a low surrogate side by side like the one character that they stand for.
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert json.loads(document) == {joined: [joined]}
    _check_path(data)
    return "changed" if shown != text else "shown as it is"


def _check_path(name: bytes) -> None:
    """Check that a file name survives as a URI, and that a URI never leaves its root."""
    uri = uri_of(name)
    assert uri.isascii()
    assert uri.isprintable()
    assert readable(name).isprintable()
    try:
        path = path_of("/inbox", uri)
    except ValueError:
        return
    assert path == b"/inbox/" + name


ENTRANCES = (
    Entrance("manifests", _make_manifest, _enter_manifest),
    Entrance("label tables", lambda rng: mutated_text(rng.choice(_LABELS), rng), _enter_labels),
    Entrance("settings", lambda rng: mutated_text(_SETTINGS, rng, _ODD_TOML), _enter_settings),
    Entrance("texts and names", _make_text, _enter_text),
)
