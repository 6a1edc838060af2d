"""Where images come from and where results go, as the settings file names them."""

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

from nightread.paths import NAME_LENGTH

Seconds = Annotated[float, Field(gt=0)]
MiB = 1024**2
AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
"""Children of `up` run in another folder."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LENGTH)]
AETitle = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$")
]
"""Up to 16 characters of the default repertoire without backslash (DICOM PS3.5, section 6.2, AE)."""
HttpUrl = Annotated[
    str, StringConstraints(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"), AfterValidator(lambda url: url.rstrip("/"))
]
"""Without a user or password in it: those have knobs of their own, which are never logged."""


ARCHIVES = "archives"
"""Name and kind of the source that all members of archives are of, and the folder of the spool that holds them."""


def revealed(value: SecretStr, info: FieldSerializationInfo) -> str:
    """The secret where it goes to a child process, stars elsewhere."""
    return value.get_secret_value() if (info.context or {}).get("reveal") else str(value)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tls(_Model):
    """Certificates of a receiver, or of nightread as somebody's client."""

    certificate: AbsolutePath | None = Field(None, description="PEM file with our certificate chain.")
    key: AbsolutePath | None = Field(None, description="PEM file with its private key.")
    ca: AbsolutePath | None = Field(
        None, description="PEM file with the authorities that we trust; unset: the system's."
    )
    require_client: bool = Field(False, description="Of a receiver: callers must show a certificate of `ca`.")


class Login(_Model):
    """How nightread shows a web server who it is: a bearer token, or user and password."""

    user: str | None = Field(None, description="User of HTTP basic authentication.")
    password: SecretStr | None = Field(None, description="Its password.")
    bearer: SecretStr | None = Field(None, description="Bearer token, instead of user and password.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.user is None) != (self.password is None) or (self.user is None) == (self.bearer is None):
            raise ValueError("give `user` and `password`, or `bearer`")
        return self

    @field_serializer("password", "bearer")
    def _reveal_to_children(self, value: SecretStr | None, info: FieldSerializationInfo) -> str | None:
        return None if value is None else revealed(value, info)


class Caller(_Model):
    """Who may send to a receiver."""

    ae_title: AETitle | None = Field(None, description="Its AE title; unset: any.")
    address: str | None = Field(None, description="Its IP address or network (`10.1.0.0/16`); unset: any.")

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.ae_title is None and self.address is None:
            raise ValueError("give `ae_title`, `address` or both; who names no callers lets everybody send")
        return self


class _Source(_Model):
    name: Name = Field(description="What the source is called, everywhere and for ever.")
    priority: int | None = Field(
        None, ge=0, le=9, description="Of its images: 0 goes first, 9 last; unset: default_priority."
    )


class FolderSource(_Source):
    """A drop folder."""

    kind: Literal["folder"] = "folder"
    path: AbsolutePath = Field(description="The folder.")


class ReceiverSource(_Source):
    """A C-STORE receiver (DICOM PS3.4, annex B)."""

    kind: Literal["receiver"] = "receiver"
    ae_title: AETitle = Field("NIGHTREAD", description="What callers must call it.")
    address: str = Field("127.0.0.1", description="Where it listens; `0.0.0.0` for all networks.")
    port: int = Field(11112, ge=0, le=65535, description="Its TCP port; 0: a free one.")
    callers: tuple[Caller, ...] = Field((), description="Who may send; none named: anybody who reaches it.")
    associations: int = Field(32, ge=1, le=1000, description="How many at once.")
    pdu_bytes: int = Field(256 * 1024, ge=4096, le=MiB, description="Largest PDU that is accepted.")
    idle_seconds: Seconds = Field(60, description="An association that is silent for this long is aborted.")
    tls: Tls | None = Field(None, description="Only encrypted connections.")


class _Store(_Source):
    url: HttpUrl = Field(description="Its address.")
    login: Login | None = Field(None, description="How to log in.")
    tls: Tls | None = Field(None, description="Authorities to trust and a client certificate, for https.")
    poll_seconds: Seconds = Field(30, description="How often it is asked for what is new.")
    timeout_seconds: Seconds = Field(30, description="It must answer within this time.")
    connections: int = Field(4, ge=1, le=64, description="Retrievals at once, per worker process.")


class DicomwebSource(_Store):
    """A DICOMweb store (DICOM PS3.18): QIDO-RS lists, WADO-RS retrieves."""

    kind: Literal["dicomweb"] = "dicomweb"
    days: int = Field(3, ge=1, le=3650, description="Studies of this many days are listed again each time.")


class OrthancSource(_Store):
    """An Orthanc server by its own REST API: `/changes` is an exact cursor."""

    kind: Literal["orthanc"] = "orthanc"


def _kind(value: object) -> str:
    """Of a table in the settings file, or of a model; a source that says none is a folder."""
    return str(value.get("kind", "folder") if isinstance(value, dict) else getattr(value, "kind", ""))


Source = Annotated[
    Annotated[FolderSource, Tag("folder")]
    | Annotated[ReceiverSource, Tag("receiver")]
    | Annotated[DicomwebSource, Tag("dicomweb")]
    | Annotated[OrthancSource, Tag("orthanc")],
    Discriminator(
        _kind,
        custom_error_type="kind",
        custom_error_message="`kind` is one of folder (where it is left out), receiver, dicomweb and orthanc",
    ),
]


class StoreDestination(_Model):
    """An application entity that takes results by C-STORE."""

    kind: Literal["store"] = "store"
    name: Name
    ae_title: AETitle = Field(description="Its AE title.")
    address: str = Field(description="Its host.")
    port: int = Field(104, ge=1, le=65535, description="Its TCP port.")
    calling_ae_title: AETitle = Field("NIGHTREAD", description="What we call ourselves.")
    tls: Tls | None = None
    timeout_seconds: Seconds = Field(30, description="It must answer within this time.")


class StowDestination(_Model):
    """A DICOMweb store that takes results by STOW-RS."""

    kind: Literal["stow"] = "stow"
    name: Name
    url: HttpUrl = Field(description="Its DICOMweb address.")
    login: Login | None = None
    tls: Tls | None = None
    timeout_seconds: Seconds = Field(30, description="It must answer within this time.")


Destination = Annotated[
    Annotated[StoreDestination, Tag("store")] | Annotated[StowDestination, Tag("stow")],
    Discriminator(
        _kind, custom_error_type="kind", custom_error_message="`kind` is store (C-STORE) or stow (STOW-RS): give one"
    ),
]
