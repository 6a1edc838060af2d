"""`--channel` describes one channel of the input, for trainings and imports alike."""

import click
import pytest
from click.testing import CliRunner

from cli.models.card_values import CHANNEL, channel_option
from cli.models.importing import _card
from cli.models.training_options import recipe_from
from imaging.input_channel import InputChannel, channels_from_json
from models.datasets import open_dataset
from nightread.errors import UsageFault


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:80", InputChannel(window=(0.0, 80.0))),
        ("-20:180", InputChannel(window=(-20.0, 180.0))),
        ("0:80@-1", InputChannel(window=(0.0, 80.0), offset=-1)),
        ("@2", InputChannel(offset=2)),
        ("@0", InputChannel()),
    ],
)
def test_a_channel_is_a_window_and_an_offset(text: str, expected: InputChannel) -> None:
    """Each of them may be left out."""
    assert channels_from_json([CHANNEL.convert(text, None, None)]) == (expected,)
    assert str(expected) == text


@pytest.mark.parametrize("text", ["", "0", "80:0", "0:80@", "0:80@x", "@1.5", "@100", "brain", "0:80:90"])
def test_what_is_no_channel_is_refused_with_an_example(text: str) -> None:
    """The message stands beside the usage."""
    with pytest.raises(click.BadParameter, match="write it like"):
        CHANNEL.convert(text, None, None)


def test_a_window_below_zero_is_no_option() -> None:
    """The shell passes `-20:180` as it stands."""

    @click.command()
    @channel_option
    def command(meanings: tuple[object, ...]) -> None:
        click.echo(len(meanings))

    ended = CliRunner().invoke(command, ["--channel", "-20:180", "--channel", "@-1"])
    assert (ended.exit_code, ended.output) == (0, "2\n")


def test_an_import_takes_them_instead_of_the_number_in_the_size() -> None:
    """The list is the field `channels` of the card."""
    options = {
        "size": {"height": 64, "width": 64, "channels": 2},
        "intensity": {"kind": "full"},
        "meanings": ({"window": [0.0, 80.0], "offset": 0}, {"offset": 1}),
    }
    assert _card(options)["input"]["channels"] == [{"window": [0.0, 80.0], "offset": 0}, {"offset": 1}]


def test_a_size_that_no_image_has_is_wrong_usage() -> None:
    """It is no bug of the command."""
    names = ("batch_size", "learning_rate", "optimizer", "channels", "intensity", "aspect")
    options = dict.fromkeys(names) | {"class_weights": False, "threshold_policy": "youden", "meanings": ()}
    with pytest.raises(UsageFault, match="70000"):
        recipe_from(open_dataset("phantom:20"), network="detector", size=70_000, pretrained=None, **options)
