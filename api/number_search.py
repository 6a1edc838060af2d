"""Find the images of a patient or accession number, whichever issuer they name."""

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
    """How a person names an issuer here, such as `--issuer NAME`; the messages of a search quote it."""

    name: str
    none: str
    """Only images that name no issuer."""


COMMAND_OPTION = IssuerOption(name="--issuer NAME", none="--issuer ''")
PARAMETER = IssuerOption(name="issuer=NAME", none="an empty issuer=")


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuerImages:
    """The images that have a number of one issuer."""

    key: str
    """The hash of issuer and number."""
    name: str | None
    """None: the images name no issuer."""
    images: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberSearch:
    """The hashes under which the images of a number are stored."""

    keys: tuple[str, ...]
    note: str | None = None
    """A sentence that lists the issuers of the images; None if no image names an issuer, or if the person gave one."""
    issuers: tuple[IssuerImages, ...] = ()
    """The issuers whose images have the number, by name; empty if an issuer was given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """The numbers that a command names. Raises UsageFault for an issuer without a number."""

    patient: str | None = None
    accession: str | None = None
    issuer: str | None = None
    """None searches all issuers; an empty text only images that name none."""

    def __post_init__(self) -> None:
        """Check that there is a number if there is an issuer."""
        if self.issuer is not None and not self.given:
            raise UsageFault("--issuer needs --patient or --accession.")

    @property
    def given(self) -> bool:
        """Return whether there is a number."""
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
        """Add the hashes of the numbers to the filter. `tell` is called with a sentence on the issuers that have them.

        Raises UsageFault if there is no site key.
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
    """Hash the number with the given issuer, or else without an issuer and with each issuer that headers named."""
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
    """Hash each accession number with the given issuer, or else with the only one whose images have it.

    A number that no image has is hashed without an issuer. `lines` has the line of each number in a file. Raises
    UsageFault if several issuers have a number: a label of one order must not become that of another one.
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
        "orders: choose one with --issuer NAME, or --issuer '' for none. Nothing was imported."
    )


def _key(hasher: PatientHasher, kind: NumberKind, number: str, issuer: str | None) -> str:
    """Return the hash; for an empty number the empty text, which no image has."""
    hashed = hasher.patient_key(issuer, number) if kind == "patient" else hasher.accession_key(issuer, number)
    return hashed or ""


def _not_found(kind: NumberKind, known: list[str], option: IssuerOption) -> str:
    names = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
    with_known = f" and with {counted(len(known), 'known issuer')} ({names})" if known else ""
    return (
        f"No image has this {_NAMES[kind]}; it was searched without an issuer{with_known}. "
        f"If the images name another issuer, give it with {option.name}."
    )


def _found(kind: NumberKind, issuers: Sequence[IssuerImages], option: IssuerOption) -> str | None:
    if [issuer.name for issuer in issuers] == [None]:
        return None
    listed = ", ".join(f"{issuer.name or 'no issuer'} ({counted(issuer.images, 'image')})" for issuer in issuers)
    if len(issuers) == 1:
        return f"Issuer of this {_NAMES[kind]}: {listed}."
    return (
        f"Warning: several issuers have this {_NAMES[kind]}: {listed}. They may be different "
        f"{'patients' if kind == 'patient' else 'orders'}: choose one with {option.name}, or {option.none} for none."
    )
