"""Encode the response to a C-STORE request (DICOM PS3.7, section 9.3.1.2).

pynetdicom builds the response as a pydicom dataset, which takes a third of the processor time of a received image.
"""

import struct

_RESPONSE = 0x8001  # C-STORE-RSP
_NO_DATASET = 0x0101


def encode_c_store_rsp(*, sop_class: str, sop_instance: str, message_id: int, status: int) -> bytes:
    """Return the command set, in Implicit VR Little Endian like every command set (DICOM PS3.7, section 6.3.1).

    Raises ValueError for UIDs that are not ASCII.
    """
    elements = b"".join(
        (
            _uid(0x0002, sop_class),
            _number(0x0100, _RESPONSE),
            _number(0x0120, message_id),
            _number(0x0800, _NO_DATASET),
            _number(0x0900, status),
            _uid(0x1000, sop_instance),
        )
    )
    return struct.pack("<HHII", 0, 0, 4, len(elements)) + elements


def _number(element: int, value: int) -> bytes:
    return struct.pack("<HHIH", 0, element, 2, value)


def _uid(element: int, text: str) -> bytes:
    value = text.encode("ascii")
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, element, len(value)) + value
