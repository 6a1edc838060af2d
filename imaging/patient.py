"""Keys that stand for a patient or an order without telling who it is."""

import hashlib
import hmac
from functools import lru_cache

_REMEMBERED = 256
"""Keys made lately: the images of a study come together, and making both costs as much as reading ten elements."""


class PatientHasher:
    """HMAC-SHA-256 with the key of one site: equal patients get equal keys, and only the site can recompute them."""

    __slots__ = ("_key", "_site_key", "key_id")

    def __init__(self, site_key: bytes) -> None:
        """Raise ValueError for an empty key, which anyone could guess."""
        if not site_key:
            raise ValueError("the site key for patient hashes is empty")
        self._site_key = site_key
        self.key_id = hashlib.sha256(b"nightread site key\x00" + site_key).hexdigest()[:8]
        """Tells which site key made a row without telling the key: eight hex digits."""
        self._key = lru_cache(_REMEMBERED)(self._make_key)

    def patient_key(self, issuer: str | None, patient_id: str | None) -> str | None:
        """64 hex digits for (0010,0021) and (0010,0020); None for an empty PatientID."""
        return self._key("patient", issuer, patient_id)

    def accession_key(self, issuer: str | None, accession: str | None) -> str | None:
        """64 hex digits for (0008,0051) and (0008,0050); None for an empty AccessionNumber."""
        return self._key("accession", issuer, accession)

    def _make_key(self, kind: str, issuer: str | None, number: str | None) -> str | None:
        trimmed = _trimmed(number)
        if not trimmed:
            return None
        message = f"{kind}|{_trimmed(issuer)}|{trimmed}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._site_key, message, "sha256").hex()


def _trimmed(text: str | None) -> str:
    return (text or "").strip(" \x00")
