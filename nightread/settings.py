"""Every knob: typed, documented, immutable. Made once in each entry point and handed down."""

import json
import os
from collections import Counter
from datetime import time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, FieldSerializationInfo, SecretStr, field_serializer, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from nightread.errors import StopWork
from nightread.sources import ARCHIVES, AbsolutePath, Destination, Source, revealed

Seconds = Annotated[float, Field(gt=0)]
MiB = 1024**2


class Settings(BaseSettings):
    """Read from the environment as `NIGHTREAD_<NAME>`, else from the TOML file, else the default shown."""

    model_config = SettingsConfigDict(
        env_prefix="NIGHTREAD_", frozen=True, extra="forbid", env_ignore_empty=True, hide_input_in_errors=True
    )

    # Where things are
    state_dir: AbsolutePath = Field(
        Path(".nightread"), description="Folder of the embedded state: database, Redis files, logs, site key, bundles."
    )
    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL of PostgreSQL or SQLite; unset: `nightread.sqlite3` in the state folder."
    )
    redis_url: SecretStr | None = Field(
        None, description="`redis://`, `rediss://` or `unix://` URL; unset: an embedded Redis on a private unix socket."
    )
    redis_server: AbsolutePath | None = Field(
        None, description="The valkey-server or redis-server binary for the embedded Redis."
    )
    bundle_dirs: tuple[AbsolutePath, ...] = Field(
        (), description="Further folders of model bundles, beside the shipped ones."
    )
    roots: dict[str, AbsolutePath] = Field(
        {}, description="Where this host mounts a source, by source name, if not where the producer does."
    )

    # The network
    model: str | None = Field(None, description="`NAME[@VERSION]` of the bundle that analyses every image.")
    workers: int = Field(0, ge=0, description="Worker processes; 0: one per GPU, else one per CPU core.")
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="Where the networks run.")
    decode_ahead: bool | None = Field(
        None, description="Decode the next images while the network works on the last; unset: on GPU only."
    )

    # Batches
    batch_seconds: Seconds = Field(
        1.0, description="Batches are made as large as one process analyses in this time, by the pace of the latest."
    )
    batch_images: int = Field(1024, ge=1, le=4096, description="Most images in a batch.")
    batch_bytes: int = Field(256 * MiB, ge=1, description="Most bytes of files in a batch of several images.")
    batch_wait_seconds: Seconds = Field(0.05, description="How long a partial batch waits for more while all are busy.")
    poll_seconds: Seconds = Field(1.0, description="How often the dispatcher looks when nobody wakes it.")
    default_priority: int = Field(5, ge=0, le=9, description="Priority of arrivals: 0 goes first, 9 last.")

    # Arrivals
    settle_seconds: Seconds = Field(2.0, description="A file is complete when size and time stay unchanged this long.")
    scan_seconds: Seconds = Field(
        5.0, description="How often a watched folder is walked; events only shorten the wait."
    )
    temporary_suffixes: tuple[str, ...] = Field(
        (".part", ".partial", ".tmp", ".filepart", ".crdownload"), description="Names that are still being written."
    )
    temporary_alert_seconds: Seconds = Field(3600, description="Temporary names older than this show in `status`.")
    accept_raster: bool = Field(False, description="Take PNG and JPEG files too.")

    # Stores
    sources: tuple[Source, ...] = Field(
        (),
        description="Folders, receivers and stores that `up`, `watch`, `receive` and `poll` serve, if not named there.",
    )
    spool_dir: AbsolutePath | None = Field(
        None,
        description="Where received and unpacked files lie, for producers and workers; unset: in the state folder.",
    )
    spool_keep_days: float = Field(3, ge=0, description="Spooled files are kept this long after their final outcome.")
    spool_keep_failed_days: float = Field(14, ge=0, description="The same for images that failed or are defective.")
    destinations: tuple[Destination, ...] = Field((), description="Where `send-results` sends structured reports.")
    deliver_after_seconds: float = Field(
        300, ge=0, description="A study of unknown size is reported when nothing of it has come for this long."
    )
    deliver_days: float = Field(
        7, gt=0, description="Studies with results as old as this are reported only where somebody names them."
    )

    # Limits and patience
    max_file_bytes: int = Field(2048 * MiB, ge=1, description="Larger files are rejected as too_large.")
    max_frame_pixels: int = Field(100_000_000, ge=1, description="Rows x columns of one frame.")
    max_object_bytes: int = Field(8192 * MiB, ge=1, description="All frames of one object, decoded.")
    image_timeout_seconds: Seconds = Field(
        60, description="Decoding one frame may take this long, then its image failed."
    )
    lease_seconds: Seconds = Field(120, description="A batch without progress for this long is taken back.")
    arrival_timeout_seconds: float = Field(
        300, ge=0, description="A truncated file younger than this waits for its rest; `run` takes files as complete."
    )
    retry_limit: int = Field(8, ge=1, description="Times an image is tried before it fails for the world's faults.")
    retry_base_seconds: Seconds = Field(1.0, description="First pause before a retry; it doubles each time.")
    retry_cap_seconds: Seconds = Field(300, description="Longest pause before a retry.")

    retry_patience_seconds: Seconds = Field(
        6 * 3600, description="An image is tried for at most this long before it fails for the world's faults."
    )
    image_memory_bytes: int = Field(
        4096 * MiB, ge=256 * MiB, description="Memory for reading one image that is suspected of killing its process."
    )
    breaker_images: int = Field(
        100, ge=0, description="Look at this many latest outcomes to decide whether to pause dispatch; 0: never pause."
    )
    breaker_share: float = Field(
        0.5, gt=0, le=1, description="Pause dispatch when this share of the latest outcomes is defective or failed."
    )
    breaker_probe_seconds: Seconds = Field(
        300, description="While dispatch is paused for bad outcomes, a small batch is tried this often."
    )
    disk_reserve_bytes: int = Field(
        256 * MiB, ge=0, description="Pause while the disk of the state folder has less room than this."
    )

    hold_missing_sources: bool = Field(
        True, description="Images of a source whose folder is gone wait for it; off: they fail like missing files."
    )

    # People
    site_key: SecretStr | None = Field(
        None, description="Secret for patient and accession keys; unset: made once in the state folder."
    )
    night_start: time = Field(time(18), description="A night begins, site-local.")
    night_end: time = Field(time(7), description="A night ends, site-local: results are wanted by then.")
    time_zone: str | None = Field(None, description="IANA name of the site's time zone; unset: the machine's.")
    not_for_diagnosis: bool = Field(True, description="Label results `not for diagnosis` wherever a person reads them.")
    flower_address: str = Field("127.0.0.1", description="Where Flower listens.")
    flower_port: int = Field(5555, ge=0, le=65535, description="Flower's port; 0 turns Flower off in `up`.")
    flower_auth: SecretStr | None = Field(None, description="`user:password` for Flower; required off 127.0.0.1.")
    log_format: Literal["text", "json"] = Field("text", description="Log lines for people or for programs.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe line logged.")

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.image_timeout_seconds > self.lease_seconds:
            raise ValueError("image_timeout_seconds must not exceed lease_seconds: a slow image would lose its lease")
        local = self.flower_address in ("127.0.0.1", "localhost", "::1")
        if not local and self.flower_auth is None:
            raise ValueError(f"flower_address {self.flower_address} is open to others: set flower_auth (user:password)")
        if any(source.name == ARCHIVES for source in self.sources):
            raise ValueError(f"sources: the name {ARCHIVES} is kept for what archives hold")
        for kind, named in (("sources", self.sources), ("destinations", self.destinations)):
            twice = [name for name, times in Counter(one.name for one in named).items() if times > 1]
            if twice:
                raise ValueError(f"{kind}: the name {twice[0]} is given twice")
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
        """Order of precedence: arguments, environment, TOML file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def sql_url(self) -> str:
        """The database URL in force, password included: never log it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.state_dir / 'nightread.sqlite3'}"

    @property
    def bundle_folders(self) -> tuple[Path, ...]:
        """Where bundles are looked for, beside the shipped ones."""
        return self.state_dir / "bundles", *self.bundle_dirs

    @property
    def spool_folder(self) -> Path:
        """Where received and unpacked files lie."""
        return self.spool_dir or self.state_dir / "spool"

    def require_redis_url(self) -> str:
        """The Redis URL in force, password included: never log it. Raises StopWork where none is set."""
        if self.redis_url is None:
            raise StopWork("No Redis is configured: set NIGHTREAD_REDIS_URL, or use `nightread run` or `nightread up`.")
        return self.redis_url.get_secret_value()

    def to_environment(self) -> dict[str, str]:
        """The variables that give a child process these very settings."""
        changed = self.model_dump(mode="json", exclude_defaults=True)
        # Whole, since a source without its kind, which is its default, is none.
        values = self.model_dump(mode="json", include=set(changed), context={"reveal": True})
        return {f"NIGHTREAD_{name.upper()}": _as_variable(value) for name, value in values.items() if value is not None}

    @field_serializer("database_url", "redis_url", "site_key", "flower_auth")
    def _reveal_to_children(self, value: SecretStr | None, info: FieldSerializationInfo) -> str | None:
        return None if value is None else revealed(value, info)

    @property
    def embedded_redis(self) -> bool:
        """Whether nightread starts its own Redis."""
        return self.redis_url is None


def load_settings(config: Path | None = None, **overrides: object) -> Settings:
    """Settings of this process, with the TOML file of `config` or NIGHTREAD_CONFIG if there is one.

    Raises pydantic.ValidationError that names each wrong knob.
    """
    config = config or Path(os.environ.get("NIGHTREAD_CONFIG", ""))
    if config == Path():
        return Settings(**overrides)  # type: ignore[arg-type]

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    return FromFile(**overrides)  # type: ignore[arg-type]


def _as_variable(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
