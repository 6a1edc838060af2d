"""Define the sources of images and the destinations of reports, as the settings file describes them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FieldSerializationInfo,
    SecretStr,
    StringConstraints,
    Tag,
    field_serializer,
    model_validator,
)

from nightread.daily_hours import HoursText
from nightread.paths import NAME_LENGTH

Seconds = Annotated[float, Field(gt=0)]
MiB = 1024**2
AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
"""A path that is made absolute at once, because child processes of `up` run in another folder."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LENGTH)]
AETitle = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$")
]
"""Up to 16 characters of the default repertoire without backslash (DICOM PS3.5, section 6.2, AE)."""
TrustGroup = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_LENGTH)]
HttpUrl = Annotated[
    str, StringConstraints(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"), AfterValidator(lambda url: url.rstrip("/"))
]
"""A URL without user and password: these have settings of their own, which are never logged."""


OverwritePolicy = Literal["never", "same_source", "any"]
"""Which images may replace and withdraw others, named like the overwrite policies of dcm4chee."""

ARCHIVES = "archives"
"""Name and kind of the source of all members of archives, and the name of their folder in the spool."""
API = "api"
"""Name and kind of the source of all images that clients send to the HTTP API, and the name of their spool."""
SPOOLED_KINDS = ("receiver", API, ARCHIVES)
"""Kinds of sources whose files nightread wrote itself and removes after the retention time."""
PARTIAL_PREFIX = ".partial-"
"""Prefix of the folder into which an archive is being unpacked. The instance id, a hyphen and a UUID follow it."""
OMITTED_MEMBER = b"nightread: this file of an archive is larger than max_file_bytes, so only its size was kept\n"
"""An unpacked file that was too large begins with this text instead of its content, so that a host with a higher limit
does not take the file for an image."""


def reveal(value: SecretStr, info: FieldSerializationInfo) -> str:
    """Return the secret if the settings are written for a child process, else asterisks."""
    return value.get_secret_value() if (info.context or {}).get("reveal") else str(value)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tls(_Model):
    """TLS certificates of a receiver, or of nightread as a client of a store or destination."""

    certificate: AbsolutePath | None = Field(None, description="PEM file with the certificate chain of nightread.")
    key: AbsolutePath | None = Field(None, description="PEM file with the private key of `certificate`.")
    ca: AbsolutePath | None = Field(
        None, description="PEM file with the trusted certificate authorities; unset: those of the system."
    )
    require_client: bool = Field(
        False, description="Receivers only: require a client certificate that an authority in `ca` has signed."
    )


class Login(_Model):
    """Login at a web server: a bearer token, or user and password."""

    user: str | None = Field(None, description="User of HTTP basic authentication.")
    password: SecretStr | None = Field(None, description="Password of `user`.")
    bearer: SecretStr | None = Field(None, description="Bearer token, instead of user and password.")
    password_file: AbsolutePath | None = Field(None, description="File with the password, instead of `password`.")
    bearer_file: AbsolutePath | None = Field(None, description="File with the bearer token, instead of `bearer`.")

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        passwords = [each for each in (self.password, self.password_file) if each is not None]
        bearers = [each for each in (self.bearer, self.bearer_file) if each is not None]
        if len(passwords) + len(bearers) != 1 or (self.user is None) != bool(bearers):
            raise ValueError("give either `user` with `password` or `password_file`, or `bearer` or `bearer_file`")
        return self

    @field_serializer("password", "bearer")
    def _reveal_to_children(self, value: SecretStr | None, info: FieldSerializationInfo) -> str | None:
        return None if value is None else reveal(value, info)


class Caller(_Model):
    """One entry in the allow list of a receiver."""

    ae_title: AETitle | None = Field(None, description="AE title of the caller; unset: any.")
    address: str | None = Field(None, description="IP address or network (`10.1.0.0/16`) of the caller; unset: any.")
    trust: TrustGroup | None = Field(
        None, description="Trust group of the caller, instead of that of the receiver. Give `address` with it."
    )

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        if self.ae_title is None and self.address is None:
            raise ValueError("give `ae_title`, `address` or both; to accept every caller, omit `callers`")
        return self


class _Source(_Model):
    name: Name = Field(description="Unique name of the source; the database keeps it, so do not change it later.")
    priority: int | None = Field(
        None, ge=0, le=9, description="Priority of its images: 0 is first, 9 is last; unset: default_priority."
    )
    hours: HoursText | None = Field(
        None,
        description="Local hours in which its images are analysed, such as `20:00-06:00`; outside of them they wait. "
        "Unset: at any time.",
    )
    trust: TrustGroup | None = Field(
        None,
        description="Trust group: its sources replace and withdraw each other's images. Unset: a source, and each "
        "sender of a receiver, replaces and withdraws only its own images (see overwrite_policy).",
    )


class FolderSource(_Source):
    """A drop folder."""

    kind: Literal["folder"] = "folder"
    path: AbsolutePath = Field(description="Path of the folder.")


class ReceiverSource(_Source):
    """A C-STORE receiver (DICOM PS3.4, annex B)."""

    kind: Literal["receiver"] = "receiver"
    ae_title: AETitle = Field("NIGHTREAD", description="AE title of the receiver; callers must use it.")
    address: str = Field("127.0.0.1", description="Address on which the receiver listens; `0.0.0.0`: all interfaces.")
    port: int = Field(11112, ge=0, le=65535, description="TCP port of the receiver; 0: any free port.")
    callers: tuple[Caller, ...] = Field((), description="Callers that may send; empty: every caller may send.")
    associations: int = Field(32, ge=1, le=1000, description="Maximum number of simultaneous associations.")
    associations_per_address: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Maximum number of simultaneous associations from one address; unset: three quarters of "
        "`associations`, so that no single sender keeps all others out.",
    )
    spool_bytes_per_address: int | None = Field(
        None,
        ge=1,
        description="Maximum size of the files in the spool that came from one address; beyond it, its images are "
        "refused (status A700). Unset: three times the free space of the disk beyond `disk_reserve_bytes`, so "
        "that no single sender fills it.",
    )
    pdu_bytes: int = Field(256 * 1024, ge=4096, le=MiB, description="Largest PDU that is accepted, in bytes.")
    idle_seconds: Seconds = Field(60, description="An association without traffic for this long is aborted.")
    image_seconds: Seconds = Field(
        3600, description="An association is aborted if one image takes longer than this to arrive."
    )
    tls: Tls | None = Field(None, description="If set, only TLS connections are accepted.")

    @property
    def address_limit(self) -> int:
        """Return the maximum number of simultaneous associations from one address."""
        return self.associations_per_address or max(self.associations * 3 // 4, 1)


class _Store(_Source):
    url: HttpUrl = Field(description="Base URL of the store.")
    login: Login | None = Field(None, description="Login at the store; unset: none.")
    tls: Tls | None = Field(None, description="Trusted authorities and client certificate for https.")
    poll_seconds: Seconds = Field(30, description="Interval at which the store is asked for new images.")
    timeout_seconds: Seconds = Field(30, description="Maximum time to wait for a response.")
    connections: int = Field(4, ge=1, le=64, description="Simultaneous retrievals per worker process.")


class DicomwebSource(_Store):
    """A DICOMweb store (DICOM PS3.18): nightread searches with QIDO-RS and retrieves with WADO-RS."""

    kind: Literal["dicomweb"] = "dicomweb"
    days: int = Field(3, ge=1, le=3650, description="Each poll searches the studies of this many past days.")


class OrthancSource(_Store):
    """An Orthanc server, read through its own REST API. The numbers of its `/changes` are an exact cursor."""

    kind: Literal["orthanc"] = "orthanc"


def _kind(value: object) -> str:
    """Return the kind of a source, which is a table of the settings file or an object; the default is `folder`."""
    return str(value.get("kind", "folder") if isinstance(value, dict) else getattr(value, "kind", ""))


Source = Annotated[
    Annotated[FolderSource, Tag("folder")]
    | Annotated[ReceiverSource, Tag("receiver")]
    | Annotated[DicomwebSource, Tag("dicomweb")]
    | Annotated[OrthancSource, Tag("orthanc")],
    Discriminator(
        _kind,
        custom_error_type="kind",
        custom_error_message="`kind` must be one of folder (the default), receiver, dicomweb and orthanc",
    ),
]


DeliveredObject = Literal["report", "regions", "heat_map", "key_image"]
"""What a destination may get: docs/reports.md describes each."""


class _Destination(_Model):
    name: Name
    studies: Literal["all", "rules"] = Field(
        "all", description="Which studies it gets: `all`, or with `rules` those that `result_rules` send to it."
    )
    objects: Annotated[tuple[DeliveredObject, ...], Field(min_length=1)] = Field(
        ("report", "regions"),
        description="What the destination gets for each study: `report` (structured report), `regions` (structured "
        "report of the outlines that viewers draw), `heat_map` (parametric map) and `key_image` (secondary capture); "
        "docs/reports.md.",
    )
    test_object: bool = Field(
        False,
        description="Let `nightread doctor --peers` store a small test object there, of an invented patient.",
    )
    burned_in: bool = Field(
        False,
        description="Also send key images of images whose pixels may contain names: images whose header says so, "
        "ultrasound and secondary captures.",
    )


class StoreDestination(_Destination):
    """A PACS that accepts reports by C-STORE."""

    kind: Literal["store"] = "store"
    ae_title: AETitle = Field(description="AE title of the destination.")
    address: str = Field(description="Host name or IP address of the destination.")
    port: int = Field(104, ge=1, le=65535, description="TCP port of the destination.")
    calling_ae_title: AETitle = Field("NIGHTREAD", description="AE title that nightread uses for itself.")
    tls: Tls | None = None
    timeout_seconds: Seconds = Field(30, description="Maximum time to wait for a response.")


class StowDestination(_Destination):
    """A DICOMweb store that accepts reports by STOW-RS."""

    kind: Literal["stow"] = "stow"
    url: HttpUrl = Field(description="DICOMweb base URL of the destination.")
    login: Login | None = None
    tls: Tls | None = None
    timeout_seconds: Seconds = Field(30, description="Maximum time to wait for a response.")


Destination = Annotated[
    Annotated[StoreDestination, Tag("store")] | Annotated[StowDestination, Tag("stow")],
    Discriminator(
        _kind, custom_error_type="kind", custom_error_message="`kind` must be store (C-STORE) or stow (STOW-RS)"
    ),
]


def accepts_pictures(origin: str, *, accept_raster: bool) -> bool:
    """Return whether PNG and JPEG files of the source `origin` are analysed.

    A client of the API sends a picture on purpose. In a folder a picture may lie by accident, so a setting decides.
    """
    return accept_raster or origin == API


def check_names(sources: Sequence[Source], destinations: Sequence[Destination]) -> None:
    """Raise ValueError if two entries have the same name, or a source has a name that nightread uses itself."""
    for name, images in ((ARCHIVES, "members of archives"), (API, "images that the HTTP API receives")):
        if any(source.name == name for source in sources):
            raise ValueError(f"sources: the name {name} is reserved for the {images}; use another name")
    for setting, entries in (("sources", sources), ("destinations", destinations)):
        duplicates = [name for name, times in Counter(entry.name for entry in entries).items() if times > 1]
        if duplicates:
            raise ValueError(f"{setting}: the name {duplicates[0]} is used twice; give each entry its own name")
