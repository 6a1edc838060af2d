"""Compute keys for patients and imaging orders that do not reveal the patient."""

import hashlib
import hmac
from functools import lru_cache
from typing import Literal

from imaging.facts import ISSUER_LENGTH, storable_text

NumberKind = Literal["patient", "accession"]

ISSUER_LIMIT = 1000
"""Maximum number of issuers that are kept. Sites have a handful of issuers; more come from invented headers."""
_CACHED_KEYS = 256
"""Number of cached keys. Images of a study arrive together and have the same keys. Computing both keys takes as long as
reading ten header elements."""


class PatientHasher:
    """Computes HMAC-SHA-256 with the site key. A patient always has the same key; only the site can compute it."""

    __slots__ = ("_key", "_opted_out", "_refused", "_site_key", "issuers", "key_id")

    def __init__(self, site_key: bytes) -> None:
        """Raise ValueError for an empty site key, since anybody could compute its hashes."""
        if not site_key:
            raise ValueError("the site key is empty: set NIGHTREAD_SITE_KEY")
        self._site_key = site_key
        self.key_id = hashlib.sha256(b"nightread site key\x00" + site_key).hexdigest()[:8]
        """Identifies the site key without revealing it: eight hex digits."""
        self.issuers: set[tuple[NumberKind, str]] = set()
        """The issuers of hashed patient and accession numbers, at most ISSUER_LIMIT. A search must try each issuer."""
        self._opted_out: frozenset[str] = frozenset()
        self._refused: set[str] = set()
        self._key = lru_cache(_CACHED_KEYS)(self._make_key)

    def patient_key(self, issuer: str | None, patient_id: str | None) -> str | None:
        """Return 64 hex digits for issuer (0010,0021) and PatientID (0010,0020); None for an empty PatientID."""
        return self._key("patient", issuer, patient_id)

    def number_key(self, patient_id: str | None) -> str | None:
        """Return 64 hex digits for the PatientID without its issuer; None for an empty PatientID."""
        trimmed = _trimmed(patient_id)
        return self._hash(f"patient number|{trimmed}") if trimmed else None

    def opt_out(self, keys: frozenset[str]) -> None:
        """Replace the list of patients who opted out, given by results of `patient_key` or `number_key`."""
        if keys != self._opted_out:
            self._opted_out = keys
            self._refused.clear()
            self._key.cache_clear()

    def has_opted_out(self, patient_key: str | None) -> bool:
        """Return whether a patient opted out. `patient_key` must be computed after the last call of `opt_out`."""
        return patient_key in self._refused

    def accession_key(self, issuer: str | None, accession: str | None) -> str | None:
        """Return 64 hex digits for issuer (0008,0051) and AccessionNumber (0008,0050); None for an empty number."""
        return self._key("accession", issuer, accession)

    def _make_key(self, kind: NumberKind, issuer: str | None, number: str | None) -> str | None:
        trimmed = _trimmed(number)
        if not trimmed:
            return None
        named = _trimmed(issuer)
        self._remember(kind, named, trimmed)
        key = self._hash(f"{kind}|{named}|{trimmed}")
        if self._opted_out and kind == "patient" and not self._opted_out.isdisjoint({key, self.number_key(trimmed)}):
            self._refused.add(key)
        return key

    def _hash(self, text: str) -> str:
        return hmac.digest(self._site_key, text.encode("utf-8", "surrogatepass"), "sha256").hex()

    def _remember(self, kind: NumberKind, issuer: str, number: str) -> None:
        """Remember the issuer of a patient or accession number, if it can be stored and differs from the number.

        If both are equal, a program wrote the number into both fields.
        """
        if issuer != number and len(self.issuers) < ISSUER_LIMIT and storable_text(issuer, ISSUER_LENGTH) == issuer:
            self.issuers.add((kind, issuer))


def _trimmed(text: str | None) -> str:
    return (text or "").strip(" \x00")
