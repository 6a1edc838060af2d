"""Define the settings: typed, documented and immutable. Each entry point loads them once and passes them on."""

import json
from datetime import time
from pathlib import Path
from typing import Literal

from pydantic import Field, FieldSerializationInfo, SecretStr, field_serializer, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from nightread.alarm_settings import AlarmSettings, check_channels
from nightread.backup_settings import BackupSettings
from nightread.environment import SecretFiles, settings_file, with_password
from nightread.errors import StopWork
from nightread.hosts import is_loopback
from nightread.inference_settings import InferenceSettings
from nightread.mail_settings import MailSettings
from nightread.series_settings import SeriesSettings
from nightread.server_settings import ServerSettings
from nightread.sources import (
    AbsolutePath,
    Destination,
    MiB,
    OverwritePolicy,
    Seconds,
    Source,
    check_names,
    reveal,
)


class Settings(ServerSettings, InferenceSettings, SeriesSettings, MailSettings, BackupSettings, AlarmSettings):
    """All settings. A value comes from the environment (`NIGHTREAD_<NAME>`), else the TOML file, else the default."""

    model_config = SettingsConfigDict(
        env_prefix="NIGHTREAD_", frozen=True, extra="forbid", env_ignore_empty=True, hide_input_in_errors=True
    )

    # Places
    state_dir: AbsolutePath = Field(
        Path(".nightread"), description="Folder of the embedded state: database, Redis files, logs, site key, bundles."
    )
    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL of PostgreSQL or SQLite; unset: `nightread.sqlite3` in the state folder."
    )
    redis_url: SecretStr | None = Field(
        None, description="`redis://`, `rediss://` or `unix://` URL; unset: an embedded Redis on a private unix socket."
    )
    database_password: SecretStr | None = Field(None, description="Password for `database_url`, if the URL has none.")
    redis_password: SecretStr | None = Field(
        None, description="Password for `redis_url`, if the URL has none; not for `unix://`."
    )
    redis_server: AbsolutePath | None = Field(
        None, description="Path of the valkey-server or redis-server binary that runs as the embedded Redis."
    )
    bundle_dirs: tuple[AbsolutePath, ...] = Field(
        (), description="Folders of model bundles, in addition to the shipped bundles and the state folder."
    )
    roots: dict[str, AbsolutePath] = Field(
        {},
        description="Folder of a source on this host, by source name, if it differs from the folder on the producer.",
    )

    # Batches
    batch_seconds: Seconds = Field(
        1.0,
        description="Target duration of a batch in one process; its number of images follows from the latest speed.",
    )
    batch_images: int = Field(1024, ge=1, le=4096, description="Maximum number of images in a batch.")
    batch_bytes: int = Field(256 * MiB, ge=1, description="Maximum size of the files in a batch of several images.")
    batch_wait_seconds: Seconds = Field(
        0.05, description="Time for which a partial batch waits for more images while all processes are busy."
    )
    poll_seconds: Seconds = Field(
        1.0, description="Interval at which the dispatcher looks for work if no notification arrives."
    )
    default_priority: int = Field(5, ge=0, le=9, description="Priority of new images: 0 is first, 9 is last.")

    # Arrivals
    settle_seconds: Seconds = Field(
        2.0, description="A file is complete when its size and modification time have not changed for this long."
    )
    scan_seconds: Seconds = Field(
        5.0,
        description="Interval between two scans of a watched folder. A file that the system reports as closed or "
        "moved in is registered at once.",
    )
    temporary_suffixes: tuple[str, ...] = Field(
        (".part", ".partial", ".tmp", ".filepart", ".crdownload"),
        description="Files with these suffixes are ignored, since they are still being written.",
    )
    temporary_alert_seconds: Seconds = Field(
        3600, description="`status` reports files with a temporary suffix that are older than this."
    )
    accept_raster: bool = Field(
        False, description="Accept PNG and JPEG files in addition to DICOM; the HTTP API always does."
    )

    # Stores
    sources: tuple[Source, ...] = Field(
        (),
        description="Folders, receivers and stores for `up`, `watch`, `receive` and `poll`; arguments override them.",
    )
    overwrite_policy: OverwritePolicy = Field(
        "same_source",
        description="Which images a newer image may replace and a key object note may withdraw: none (`never`), those "
        "of the same source, sender or trust group (`same_source`), or all (`any`).",
    )
    spool_dir: AbsolutePath | None = Field(
        None,
        description="Folder of received and unpacked files, for producers and workers; unset: in the state folder.",
    )
    spool_keep_days: float = Field(3, ge=0, description="Days for which a spooled file is kept after its outcome.")
    spool_keep_failed_days: float = Field(
        14, ge=0, description="Days for which a spooled file is kept if its image is defective or failed."
    )
    destinations: tuple[Destination, ...] = Field(
        (), description="PACS and DICOMweb stores to which `send-results` sends structured reports."
    )
    deliver_after_seconds: float = Field(
        300,
        ge=0,
        description="A study whose expected number is unknown is reported when no image arrived for this long.",
    )
    deliver_days: float = Field(
        7, gt=0, description="Studies whose results are older than this are reported only if a user names the study."
    )

    # Limits and retries
    max_file_bytes: int = Field(2048 * MiB, ge=1, description="Larger files are rejected as too_large.")
    max_frame_pixels: int = Field(
        100_000_000,
        ge=1,
        description="Images with more pixels per frame (rows x columns) are rejected as too_large.",
    )
    max_object_bytes: int = Field(
        8192 * MiB, ge=1, description="Images whose decoded frames are larger in total are rejected as too_large."
    )
    image_timeout_seconds: Seconds = Field(
        60, description="Maximum time to decode one frame; after it the image fails with reason timeout."
    )
    lease_seconds: Seconds = Field(120, description="The sweep takes back a batch that made no progress for this long.")
    arrival_timeout_seconds: float = Field(
        300,
        ge=0,
        description="A truncated file newer than this may still be arriving and is read again; `run` does not wait.",
    )
    retry_limit: int = Field(8, ge=1, description="Attempts before a temporary error becomes final.")
    retry_base_seconds: Seconds = Field(1.0, description="Pause before the first retry; it doubles with each retry.")
    retry_cap_seconds: Seconds = Field(300, description="Longest pause before a retry.")
    retry_patience_seconds: Seconds = Field(
        6 * 3600, description="Time after which a temporary error becomes final, even if attempts are left."
    )
    image_memory_bytes: int = Field(
        4096 * MiB,
        ge=256 * MiB,
        description="Memory limit for the trial read of an image that is suspected of killing its worker process.",
    )
    breaker_images: int = Field(
        100,
        ge=0,
        description="Number of latest outcomes of a source that the circuit breaker examines; 0 turns it off.",
    )
    breaker_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="The circuit breaker pauses a source if at least this share of its outcomes is bad.",
    )
    breaker_probe_seconds: Seconds = Field(
        300, description="Interval of the small probe batches while the circuit breaker has paused dispatch."
    )
    disk_reserve_bytes: int = Field(
        256 * MiB,
        ge=0,
        description="Dispatch is paused while the disk of the state folder, or of SQLite's file, has less free space "
        "than this.",
    )
    hold_missing_sources: bool = Field(
        True,
        description="Images wait while their source folder or store is unavailable, and archives while a disk is "
        "nearly full; off: they fail after retries.",
    )

    # People
    site_key: SecretStr | None = Field(
        None, description="Secret for hashing patient and accession numbers; unset: created in the state folder."
    )
    keep_results_days: float = Field(0, ge=0, description="Days after which results are purged; 0: they are kept.")
    night_start: time = Field(time(18), description="Local time at which a night begins.")
    night_end: time = Field(time(7), description="Local time at which a night ends and its results should be complete.")
    time_zone: str | None = Field(
        None, description="IANA name of the local time zone, such as Europe/Berlin; unset: the time zone of the host."
    )
    not_for_diagnosis: bool = Field(
        True, description="Mark results as `not for diagnosis` wherever a person reads them."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Format of log lines: text for people, json for programs."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Lowest level of the log lines that are written."
    )

    @model_validator(mode="after")
    def _check_consistency(self) -> "Settings":
        if self.image_timeout_seconds > self.lease_seconds:
            raise ValueError(
                "image_timeout_seconds must not exceed lease_seconds, or the lease of a slow image would end too early"
            )
        if not is_loopback(self.flower_address) and self.flower_auth is None:
            raise ValueError(
                f"flower_address {self.flower_address} can be reached from other hosts: set flower_auth (user:password)"
            )
        check_names(self.sources, self.destinations)
        check_channels(self.alarm_channels, self.result_rules, self.destinations)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in their order of precedence: arguments, environment, files of secrets, TOML file."""
        return init_settings, env_settings, SecretFiles(settings_cls), TomlConfigSettingsSource(settings_cls)

    @property
    def sql_url(self) -> str:
        """Return the database URL, with its password: never log it."""
        if self.database_url is not None:
            return with_password(self.database_url.get_secret_value(), self.database_password)
        return f"sqlite:///{self.state_dir / 'nightread.sqlite3'}"

    @property
    def bundle_folders(self) -> tuple[Path, ...]:
        """Return the folders that are searched for bundles, in addition to the shipped bundles."""
        return self.state_dir / "bundles", *self.bundle_dirs

    @property
    def spool_folder(self) -> Path:
        """Return the folder of received and unpacked files."""
        return self.spool_dir or self.state_dir / "spool"

    def require_redis_url(self) -> str:
        """Return the Redis URL, with its password: never log it. Raises StopWork if none is set."""
        if self.redis_url is None:
            raise StopWork("No Redis is configured: set NIGHTREAD_REDIS_URL, or use `nightread run` or `nightread up`.")
        return with_password(self.redis_url.get_secret_value(), self.redis_password)

    def to_environment(self) -> dict[str, str]:
        """Return the environment variables that give a child process the same settings."""
        changed = self.model_dump(mode="json", exclude_defaults=True)
        # Dump these settings completely: `exclude_defaults` also drops the `kind` of each source.
        values = self.model_dump(mode="json", include=set(changed), context={"reveal": True})
        return {f"NIGHTREAD_{name.upper()}": _as_variable(value) for name, value in values.items() if value is not None}

    @field_serializer(
        "database_url", "database_password", "redis_url", "redis_password", "site_key", "flower_auth", "api_key"
    )
    def _reveal_to_children(self, value: SecretStr | None, info: FieldSerializationInfo) -> str | None:
        return None if value is None else reveal(value, info)

    @property
    def embedded_redis(self) -> bool:
        """Return whether nightread starts its own Redis."""
        return self.redis_url is None


def load_settings(config: Path | None = None, **overrides: object) -> Settings:
    """Load the settings of this process, including the TOML file `config` or NIGHTREAD_CONFIG, if given.

    Raises pydantic.ValidationError, which names each wrong setting.
    """
    config = settings_file(config)
    if config is None:
        return Settings(**overrides)  # type: ignore[arg-type]

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    return FromFile(**overrides)  # type: ignore[arg-type]


def _as_variable(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
