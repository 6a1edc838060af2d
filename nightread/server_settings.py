"""Define the settings of the servers that people open, Flower and the HTTP API: a part of nightread.settings."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from nightread.sources import MiB, Tls


class ServerSettings(BaseSettings):
    """The settings of Flower and the HTTP API."""

    flower_address: str = Field("127.0.0.1", description="IP address or host name on which Flower listens.")
    flower_port: int = Field(5555, ge=0, le=65535, description="TCP port of Flower; with 0, `up` starts no Flower.")
    flower_auth: SecretStr | None = Field(
        None,
        description="`user:password` for Flower; unset: generated in the state folder. Required if flower_address is "
        "not a loopback address.",
    )
    flower_hosts: tuple[str, ...] = Field(
        (), description="Host names by which browsers may open Flower, in addition to those of the loopback interface."
    )

    api_address: str = Field("127.0.0.1", description="IP address or host name on which the HTTP API listens.")
    api_port: int = Field(8080, ge=0, le=65535, description="TCP port of the HTTP API; with 0, `up` starts no API.")
    api_hosts: tuple[str, ...] = Field(
        (), description="Host names by which clients may reach the API, in addition to those of the loopback interface."
    )
    api_wait_seconds: float = Field(
        10,
        ge=0,
        le=60,
        description="Seconds for which the API waits for the outcome of an image if the client does not say how long.",
    )
    api_connections: int = Field(
        20,
        ge=12,
        le=1000,
        description="Number of connections of the HTTP API to the database, without the one for its lock on "
        "PostgreSQL. Eleven are reserved for uploads and downloads. Each request that reads uses one of the others.",
    )
    api_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="A key of the HTTP API that permits everything, such as `nr_` and 43 random characters; "
        "`nightread keys` makes keys that permit less.",
    )
    api_tls: Tls | None = Field(
        None,
        description="Certificate and key with which the API serves https; with `ca` and `require_client`, clients must "
        "show a certificate.",
    )
    viewer_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Address of a viewer, to which the pages link, such as "
        "`https://ohif.example/viewer?StudyInstanceUIDs={study}`; `{series}` and `{sop}` are replaced too.",
    )
    thumbnail_bytes: int = Field(
        512 * MiB, ge=0, description="Size of the cache of pictures in the state folder; 0: no cache."
    )
    show_burned_in: bool = Field(
        False,
        description="Show pictures of images that may have names in their pixels: those whose header says so "
        "(BurnedInAnnotation), ultrasound, secondary captures, endoscopy, photographs and captures of screens.",
    )
