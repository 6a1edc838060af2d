"""Find the images that have a patient or accession number, of one issuer or of all issuers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from api.hashing import site_hasher
from db import queries
from db.engine import Database
from db.queries import ImageFilter
from imaging.patient import NumberKind, PatientHasher
from nightread.errors import UsageFault
from nightread.settings import Settings
from nightread.wording import counted

_NAMES: Mapping[NumberKind, str] = {"patient": "PatientID", "accession": "AccessionNumber"}
_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuerOption:
    """How messages tell a person to choose an issuer, on the command line or in the API."""

    name: str
    """The option that chooses an issuer, such as `--issuer NAME`."""
    none: str
    """The option that chooses only images that name no issuer."""


COMMAND_OPTION = IssuerOption(name="--issuer NAME", none="--issuer ''")
PARAMETER = IssuerOption(name="issuer=NAME", none="an empty issuer=")


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuerImages:
    """How many images have the searched number together with one issuer."""

    key: str
    """The hash of issuer and number."""
    name: str | None
    """The issuer; None if the images name none."""
    images: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberSearch:
    """The hashes under which the images of a number are stored."""

    keys: tuple[str, ...]
    note: str | None = None
    """A sentence that lists the issuers of the images or, if no image has the number, the issuers that were searched.

    None if the images name no issuer, or if an issuer was given.
    """
    issuers: tuple[IssuerImages, ...] = ()
    """The issuers whose images have the number, sorted by name; empty if an issuer was given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """The patient or accession number that a command searches. Raises UsageFault for an issuer without a number."""

    patient: str | None = None
    accession: str | None = None
    issuer: str | None = None
    """None searches all issuers. An empty text searches only images that name no issuer."""

    def __post_init__(self) -> None:
        """Raise UsageFault if an issuer is given without a number."""
        if self.issuer is not None and not self.given:
            raise UsageFault("--issuer needs --patient or --accession.")

    @property
    def given(self) -> bool:
        """Return whether a patient or accession number is given."""
        return bool(self.patient or self.accession)

    def add_to(
        self,
        wanted: ImageFilter,
        database: Database,
        settings: Settings,
        tell: Callable[[str], None],
        *,
        option: IssuerOption = COMMAND_OPTION,
    ) -> ImageFilter:
        """Return the filter with the hashes of the numbers. Raises UsageFault if there is no site key.

        `tell` is called with each `NumberSearch.note`, a sentence about issuers.
        """
        if not self.given:
            return wanted
        hasher = site_hasher(settings)
        numbers: tuple[tuple[NumberKind, str | None], ...] = (("patient", self.patient), ("accession", self.accession))
        keys: dict[str, Any] = {}
        for kind, number in numbers:
            if number:
                search = search_number(database, hasher, kind, number, self.issuer, option=option)
                keys[f"{kind}_keys"] = search.keys
                if search.note:
                    tell(search.note)
        return replace(wanted, **keys)


def search_number(
    database: Database,
    hasher: PatientHasher,
    kind: NumberKind,
    number: str,
    issuer: str | None,
    *,
    option: IssuerOption = COMMAND_OPTION,
) -> NumberSearch:
    """Return the hashes under which the images of a number are stored.

    If an issuer is given, this is one hash. Otherwise, images without an issuer and images of each issuer in
    the database are searched.
    """
    if issuer is not None:
        return NumberSearch(keys=(_key(hasher, kind, number, issuer),))
    known = queries.known_issuers(database, kind)
    issuers = {_key(hasher, kind, number, name): name for name in (None, *known)}
    found = queries.images_by_key(database, kind, list(issuers))
    if not found:
        return NumberSearch(keys=tuple(issuers), note=_not_found(kind, known, option))
    named = [IssuerImages(key=key, name=issuers[key], images=images) for key, images in found.items()]
    named.sort(key=lambda issuer: issuer.name or "")
    return NumberSearch(keys=tuple(found), note=_found(kind, named, option), issuers=tuple(named))


def images_of_number(database: Database, hasher: PatientHasher, patient: str, issuer: str | None) -> list[int]:
    """Return the images of one patient.

    Raises UsageFault if images of several issuers have the number and no issuer is given: they may be different people.
    """
    search = search_number(database, hasher, "patient", patient, issuer)
    by_key = queries.images_by_key(database, "patient", search.keys)
    if len(by_key) > 1:
        raise UsageFault(search.note or "")
    return queries.image_ids(database, ImageFilter(patient_keys=search.keys)) if by_key else []


def accession_keys(
    database: Database, hasher: PatientHasher, lines: Mapping[str, int], issuer: str | None
) -> dict[str, str]:
    """Return the hash of each accession number. `lines` maps each number to its line in a file.

    If no issuer is given, each number is hashed with the issuer of its images. A number that no image has is hashed
    without an issuer. Raises UsageFault if images of several issuers have the same number, because its label could be
    stored for the wrong order.
    """
    if issuer is not None:
        return {number: _key(hasher, "accession", number, issuer) for number in lines}
    issuers = (None, *queries.known_issuers(database, "accession"))
    keys = {number: {_key(hasher, "accession", number, name): name for name in issuers} for number in lines}
    images = queries.images_by_key(database, "accession", [key for named in keys.values() for key in named])
    found = {number: [key for key in named if key in images] for number, named in keys.items()}
    several = [number for number, having in found.items() if len(having) > 1]
    if several:
        raise UsageFault(_ambiguous(several, lines, {keys[number][key] for number in several for key in found[number]}))
    return {number: (having or [_key(hasher, "accession", number, None)])[0] for number, having in found.items()}


def _ambiguous(numbers: list[str], lines: Mapping[str, int], issuers: set[str | None]) -> str:
    names = ", ".join(sorted(name or "no issuer" for name in issuers))
    have = counted(len(numbers), "accession number has", "accession numbers have")
    return (
        f"{have} images of several issuers ({names}), the first one in line {lines[numbers[0]]}. They may be different "
        "orders: choose one with --issuer NAME, or --issuer '' for no issuer. Nothing was imported."
    )


def _key(hasher: PatientHasher, kind: NumberKind, number: str, issuer: str | None) -> str:
    """Return the hash of the number. For an empty number, return an empty text, which matches no image."""
    hashed = hasher.patient_key(issuer, number) if kind == "patient" else hasher.accession_key(issuer, number)
    return hashed or ""


def _not_found(kind: NumberKind, known: list[str], option: IssuerOption) -> str:
    names = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
    if not known:
        return (
            f"No image without an issuer has this {_NAMES[kind]}, and no issuer is known. "
            f"If the images have one, give it with {option.name}."
        )
    return (
        f"No image has this {_NAMES[kind]}: neither an image without an issuer nor an image of the "
        f"{counted(len(known), 'known issuer')} ({names}). "
        f"If the images have another issuer, give it with {option.name}."
    )


def _found(kind: NumberKind, issuers: Sequence[IssuerImages], option: IssuerOption) -> str | None:
    if [issuer.name for issuer in issuers] == [None]:
        return None
    listed = ", ".join(f"{issuer.name or 'no issuer'} ({counted(issuer.images, 'image')})" for issuer in issuers)
    if len(issuers) == 1:
        return f"Issuer of this {_NAMES[kind]}: {listed}."
    return (
        f"Warning: several issuers have this {_NAMES[kind]}: {listed}. They may be different "
        f"{'patients' if kind == 'patient' else 'orders'}: "
        f"choose one with {option.name}, or {option.none} for no issuer."
    )
