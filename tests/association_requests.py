"""Send association requests byte by byte (DICOM PS3.8, section 9.3.2), also as no library writes them."""

import socket
import struct
from contextlib import closing

ACCEPT, REJECT, ABORT = 2, 3, 7
"""Types of the PDUs with which an acceptor responds."""
LONG_ENOUGH = 100
"""Number of paces after which a slow connection should be closed long since."""
_PACE_SECONDS = 0.1
APPLICATION_CONTEXT, VERIFICATION, IMPLICIT = b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.1.1", b"1.2.840.10008.1.2"


def association_request(
    called: bytes,
    calling: bytes,
    *,
    abstract_syntax: bytes = VERIFICATION,
    items: bytes = b"",
    contexts: int = 1,
    syntaxes: int = 1,
) -> bytes:
    """Return the PDU. The titles have 16 bytes each; `items` are added to the user information.

    All presentation contexts are the same but for their ids, which are odd numbers of one byte.
    """
    inner = _item(0x30, abstract_syntax) + _item(0x40, IMPLICIT) * syntaxes
    ids = ((2 * number + 1) % 256 for number in range(contexts))
    context = b"".join(_item(0x20, struct.pack(">BBBB", number, 0, 0, 0) + inner) for number in ids)
    user = _item(0x50, _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3.4.5") + items)
    body = struct.pack(">HH", 1, 0) + called + calling + bytes(32) + _item(0x10, APPLICATION_CONTEXT) + context + user
    return struct.pack(">BBI", 1, 0, len(body)) + body


def response_to(port: int, request: bytes, *, address: str = "127.0.0.1") -> bytes:
    """Send the request and return the first PDU of the response, or no bytes. The connection is then closed."""
    with closing(socket.create_connection((address, port), 5)) as peer:
        peer.settimeout(20)
        peer.sendall(request)
        header = peer.recv(6, socket.MSG_WAITALL)
        return header + peer.recv(struct.unpack(">I", header[2:])[0], socket.MSG_WAITALL) if len(header) == 6 else b""


def trickle(slow: socket.socket, data: bytes = b"\0") -> int:
    """Send data at a pace until the receiver closes the connection; return how often."""
    slow.settimeout(_PACE_SECONDS)
    for number in range(LONG_ENOUGH):
        try:
            slow.sendall(data)
            while slow.recv(1000):
                pass
        except TimeoutError:
            continue
        except ConnectionError:
            return number
        return number
    return LONG_ENOUGH


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body
