"""Check that each compressed transfer syntax can be decoded here, by decoding a small frame of each kind."""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from cli.checks.check import Check

_PACKAGE = "imagecodecs"
_INSTALL = "`pip install 'nightread[worker]'`, unless this host only watches folders."
_REINSTALL = f"Reinstall it: `pip install --force-reinstall {_PACKAGE}`; images of this kind end as bad_pixels."
_KINDS = {"JPEG": "jpeg8", "JPEG_LS": "jpegls", "JPEG_2000": "jpeg2k", "RLE": "packbits"}
"""Maps each codec of imaging.codecs to its name in imagecodecs, whose functions are NAME_encode and NAME_decode."""
_SAMPLE = bytes(range(64))


def check_decoders(*, works_here: bool) -> Iterator[Check]:
    """Decode one frame for each codec.

    A missing library is a failure if `works_here` (a model is configured), else a warning.
    """
    try:
        release = version(_PACKAGE)
    except PackageNotFoundError:
        result = Check.fail if works_here else Check.warn
        yield result("decoders", f"not installed: {_PACKAGE}", _INSTALL)
        return
    try:
        syntaxes = _syntaxes()
        library = import_module(_PACKAGE)
    except (ImportError, OSError) as error:
        found = f"{_PACKAGE} {release} does not load ({type(error).__name__})"
        yield Check.fail("decoders", found, f"Reinstall it: `pip install --force-reinstall {_PACKAGE}`.")
        return
    broken = [name for name, function in _KINDS.items() if not _decodes(library, function)]
    for name in broken:
        yield Check.fail(f"decoder {name}", f"fails: {', '.join(syntaxes[name])}", _REINSTALL)
    if not broken:
        total = sum(map(len, syntaxes.values()))
        yield Check.ok("decoders", f"{_PACKAGE} {release}: {total} compressed transfer syntaxes")


def _syntaxes() -> dict[str, list[str]]:
    """Return a mapping from each name of a codec to the transfer syntaxes that this codec decodes."""
    from imaging.codecs import CODECS  # noqa: PLC0415 - needs the library that is checked

    found: dict[str, list[str]] = {}
    for uid, codec in CODECS.items():
        found.setdefault(codec.name, []).append(uid)
    return found


def _decodes(library: object, function: str) -> bool:
    """Return whether the library decodes what it encodes; any exception of the library counts as a failure."""
    import numpy as np  # noqa: PLC0415 - as above

    frame = np.frombuffer(_SAMPLE, np.uint8).reshape(8, 8)
    source = _SAMPLE if function == "packbits" else frame
    try:
        encoded = getattr(library, f"{function}_encode")(source)
        decoded = getattr(library, f"{function}_decode")(encoded)
    except Exception:  # noqa: BLE001 - codec libraries raise types of their own
        return False
    return len(bytes(decoded)) == len(_SAMPLE)
