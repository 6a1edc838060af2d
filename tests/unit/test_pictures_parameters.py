"""The parameters of pictures, as PS3.18 section 8.3.5.1 writes them, and the choice of the media type."""

import pytest

from api.pictures.negotiation import matches, media_type_for
from api.pictures.parameters import viewport_of, window_of
from imaging.view import DisplayWindow, Viewport


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("40,400", DisplayWindow(center=40, width=400)),
        ("-600.5,1.5e3,linear", DisplayWindow(center=-600.5, width=1500)),
        ("40,400,linear-exact", DisplayWindow(center=40, width=400, function="LINEAR_EXACT")),
        ("40,400,SIGMOID", DisplayWindow(center=40, width=400, function="SIGMOID")),
        ("lung", "lung"),
        ("header", "header"),
        ("full", "full"),
    ],
)
def test_a_window_is_read(text: str, window: object) -> None:
    """Two numbers, a function, or a name."""
    assert window_of(text) == window


@pytest.mark.parametrize(
    "text",
    [
        "",
        "40",
        "40,",
        "40,0",
        "40,-1",
        "40,400,round",
        "40,400,linear,1",
        "nan,4",
        "1,inf",
        "1e99,4",
        "a,b",
        "LUNG",
        "٤,٤",
    ],
)
def test_a_wrong_window_is_refused(text: str) -> None:
    """The sentence lists what is allowed, and does not repeat what was sent."""
    with pytest.raises(ValueError, match=r"window must be center,width .* brain, soft-tissue"):
        window_of(text)


def test_a_viewport_is_read() -> None:
    """Numbers of the region may be empty (PS3.18), and negative sizes flip it."""
    assert viewport_of("512,256") == Viewport(width=512, height=256)
    assert viewport_of("64,64,10.5,20") == Viewport(width=64, height=64, left=10.5, top=20)
    assert viewport_of("64,64,,,-32,16") == Viewport(width=64, height=64, region_width=-32, region_height=16)
    assert viewport_of("4096,1") == Viewport(width=4096, height=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "64",
        "0,64",
        "64,4097",
        "64,-1",
        "1.5,2",
        "64,64,x",
        "64,64,-1,0",
        "64,64,0,0,0,5",
        "1,1,1,1,1,1,1",
        "9" * 99,
    ],
)
def test_a_wrong_viewport_is_refused(text: str) -> None:
    """Sizes are bounded, so that no request takes the memory of the process."""
    with pytest.raises(ValueError, match="viewport"):
        viewport_of(text)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "image/png"),
        ("", "image/png"),
        ("*/*", "image/png"),
        ("image/avif,image/webp,image/*;q=0.8,*/*;q=0.5", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("image/jpeg, */*;q=0.1", "image/jpeg"),
        ("image/png;q=0.2, image/JPEG;q=0.3", "image/jpeg"),
        ("image/png;q=0, image/*", "image/jpeg"),
        ("image/jpeg;q=x", None),
        ("application/json", None),
    ],
)
def test_the_client_chooses_the_media_type(accept: str, media_type: str) -> None:
    """PNG unless JPEG is preferred (RFC 9110 section 12.5.1)."""
    assert media_type_for(accept) == media_type


def test_entity_tags_are_compared() -> None:
    """Weakly, as If-None-Match asks."""
    assert matches('"a"', '"b", W/"a"')
    assert matches('"a"', "*")
    assert not matches('"a"', '"b"')
    assert not matches('"a"', None)
