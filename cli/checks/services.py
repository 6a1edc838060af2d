"""Check Redis, the database and the models that are configured, with short time-outs."""

from collections.abc import Iterator

from redis import Redis
from redis.exceptions import RedisError

from api.hashing import has_site_key, site_hasher
from cli.checks.check import Check
from cli.checks.server_versions import check_binary, check_version
from cli.embedded.redis_server import find_redis_server
from cli.inputs.existing_database import one_line_errors, require_database_file
from cli.models.active import read_active
from cli.wording import counted
from db import queries, schema
from db.engine import open_database
from db.queries import OptOut
from models.catalogue import find_bundle
from nightread.errors import StopWork, UsageFault
from nightread.notify import open_redis
from nightread.settings import Settings

_REDIS_REMEDY = "Start Redis, or correct NIGHTREAD_REDIS_URL, including its password."


def check_services(settings: Settings) -> Iterator[Check]:
    """Check the services. A database that does not exist yet is a warning; one that cannot be used is a failure."""
    yield _redis(settings)
    yield from _database(settings)
    yield from _models(settings)


def _redis(settings: Settings) -> Check:
    if settings.redis_url is None:
        try:
            return check_binary("Redis", find_redis_server(settings))
        except StopWork as problem:
            return Check.fail("Redis", "none found", str(problem))
    try:
        with open_redis(settings.require_redis_url()) as client:
            return _check_server(client)
    except (RedisError, OSError, ValueError) as error:
        return Check.fail("Redis", f"unavailable ({type(error).__name__})", _REDIS_REMEDY)


def _check_server(client: Redis) -> Check:
    facts = client.info()
    server = f"Valkey {facts['valkey_version']}" if "valkey_version" in facts else str(facts["redis_version"])
    found = f"{server}, {facts['used_memory_human']} used"
    if facts.get("maxmemory_policy", "noeviction") != "noeviction":
        return Check.warn(
            "Redis", found, "Redis discards messages when its memory is full: set maxmemory-policy noeviction."
        )
    is_valkey = "valkey_version" in facts
    version = str(facts["valkey_version" if is_valkey else "redis_version"])
    return check_version("Redis", version, is_valkey=is_valkey, found=found)


def _database(settings: Settings) -> Iterator[Check]:
    try:
        require_database_file(settings)
    except UsageFault as fault:
        yield Check.warn("database", "does not exist yet", str(fault))
        return
    try:
        database = open_database(settings.sql_url)
    except (StopWork, ImportError) as problem:
        yield Check.fail("database", "cannot be opened", str(problem))
        return
    try:
        with one_line_errors():
            schema.require_newest(database)
            pauses, opt_outs = queries.pauses(database), queries.opt_outs(database)
    except StopWork as problem:
        yield Check.fail("database", "cannot be used", str(problem))
        return
    finally:
        database.close()
    yield Check.ok("database", "SQLite" if database.is_sqlite else "PostgreSQL")
    if pauses:
        causes = ", ".join(pause.cause for pause in pauses)
        yield Check.warn("dispatch", f"paused ({causes})", "Run `nightread status` for the reason and the remedy.")
    if opt_outs and has_site_key(settings):
        yield _opt_outs(opt_outs, site_hasher(settings).key_id)


def _opt_outs(entries: list[OptOut], key_id: str) -> Check:
    """Check that the entries were made with the site key in use: others would match no image."""
    others = sum(entry.key_id != key_id for entry in entries)
    if not others:
        return Check.ok("opt-outs", counted(len(entries), "patient"))
    return Check.fail(
        "opt-outs",
        f"{others:,} of {counted(len(entries), 'entry', 'entries')} made with another site key",
        "Images of these patients are analysed. Set NIGHTREAD_SITE_KEY to the right key, or add the patients again.",
    )


def _models(settings: Settings) -> Iterator[Check]:
    """Check the model that NIGHTREAD_MODEL names for all images, else each model that a routing rule names."""
    references = [settings.model] if settings.model else sorted(read_active(settings).references)
    if not references:
        yield Check.warn(
            "model",
            "none configured",
            "Every image will be rejected (no_model). Name a model with --model (`nightread models list` shows them), "
            "or add routing rules with `nightread models activate`.",
        )
    for reference in references:
        try:
            bundle = find_bundle(reference, settings.bundle_folders)
        except (StopWork, UsageFault) as problem:
            yield Check.fail("model", reference, str(problem))
        else:
            yield Check.ok("model", f"{bundle.reference}, digest verified")
