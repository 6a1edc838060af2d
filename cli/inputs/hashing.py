"""Numbers of patients and orders, hashed as the workers do."""

from imaging.patient import PatientHasher
from nightread.errors import UsageFault
from nightread.settings import Settings
from nightread.site_key import load_site_key


def site_hasher(settings: Settings) -> PatientHasher:
    """With the site's key; a key that is made up now would find nobody. Raises UsageFault where there is none."""
    if settings.site_key is None and not (settings.state_dir / "site.key").exists():
        raise UsageFault(
            f"Numbers are stored hashed, and {settings.state_dir} has no site.key to hash with: "
            "set NIGHTREAD_SITE_KEY to the key that the workers use."
        )
    return PatientHasher(load_site_key(settings))
