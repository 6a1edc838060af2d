"""Write the headers of JPEG 2000 packets bit by bit (ITU-T T.800, B.10)."""

from imaging.jpeg2000_layout import Packet, Paths, Precinct, TileLayout

ONE_BLOCK: Paths = ((0,),)
TWO_BLOCKS: Paths = ((2, 0), (2, 1))
THREE_BLOCKS: Paths = ((5, 3, 0), (5, 3, 1), (5, 4, 2))


def packed(bits: str) -> bytes:
    """Return the bytes of a packet header; behind 0xFF a byte has seven bits, and one always follows (B.10.1)."""
    left, data = bits.replace(" ", ""), bytearray()
    while left or data.endswith(b"\xff"):
        size = 7 if data.endswith(b"\xff") else 8
        data.append(int(left[:size].ljust(size, "0"), 2))
        left = left[size:]
    return bytes(data)


def layout_of(*bands: Paths, layers: int = 1, modes: int = 0) -> TileLayout:
    """Return the layout of a tile that has one precinct with these sub-bands."""
    precinct = Precinct(resolution=0, component=0, top=0, left=0, modes=modes, paths=bands)
    return TileLayout((precinct,), tuple(Packet(0, layer) for layer in range(layers)))


def precincts_of(*modes: int) -> TileLayout:
    """Return the layout of a tile whose precincts have one code-block each, with these styles."""
    precincts = tuple(Precinct(0, 0, 0, 0, each, (ONE_BLOCK,)) for each in modes)
    return TileLayout(precincts, tuple(Packet(index, 0) for index in range(len(modes))))
