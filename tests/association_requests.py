"""Send association requests byte by byte (DICOM PS3.8, section 9.3.2), also as no library writes them."""

import socket
import struct
from contextlib import closing

ACCEPT, REJECT, ABORT = 2, 3, 7
"""Types of the PDUs with which an acceptor responds."""
APPLICATION_CONTEXT, VERIFICATION, IMPLICIT = b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.1.1", b"1.2.840.10008.1.2"


def association_request(
    called: bytes, calling: bytes, *, abstract_syntax: bytes = VERIFICATION, items: bytes = b""
) -> bytes:
    """Return the PDU. The titles have 16 bytes each; `items` are added to the user information."""
    syntaxes = _item(0x30, abstract_syntax) + _item(0x40, IMPLICIT)
    context = _item(0x20, struct.pack(">BBBB", 1, 0, 0, 0) + syntaxes)
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


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body
