"""Hash patient and accession numbers in the same way as the workers."""

from imaging.patient import PatientHasher
from nightread.errors import UsageFault
from nightread.settings import Settings
from nightread.site_key import load_site_key


def site_hasher(settings: Settings) -> PatientHasher:
    """Return a hasher with the existing site key. Raises UsageFault if there is none.

    No new key is made, because its hashes would match no stored hash.
    """
    if not has_site_key(settings):
        raise UsageFault(
            f"There is no site.key in {settings.state_dir}, and numbers are stored as hashes made with that key. "
            "Set NIGHTREAD_SITE_KEY to the key that the workers use."
        )
    return PatientHasher(load_site_key(settings))


def has_site_key(settings: Settings) -> bool:
    """Return whether a site key exists, in the settings or in the state folder."""
    return settings.site_key is not None or (settings.state_dir / "site.key").exists()
