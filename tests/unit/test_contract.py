"""The queue message holds a version and a batch id."""

from uuid import uuid4

import pytest

from nightread.contract import BatchMessage


def test_a_message_is_read_back_unchanged() -> None:
    """The keyword arguments of the task give the same message again."""
    message = BatchMessage(batch_id=str(uuid4()))

    assert BatchMessage.from_kwargs(**message.to_kwargs()) == message


def test_a_message_holds_a_version_and_an_id_only() -> None:
    """It has no field for a patient or a path."""
    batch_id = str(uuid4())

    assert BatchMessage(batch_id=batch_id).to_kwargs() == {"v": 1, "batch": batch_id}


def test_a_message_of_another_version_is_refused() -> None:
    """The error says that producer and worker are of different releases."""
    with pytest.raises(ValueError, match=r"version 2 is not 1: .* different releases"):
        BatchMessage.from_kwargs(v=2, batch=str(uuid4()))


@pytest.mark.parametrize("batch", ["", "1; DROP TABLE work", "scan.dcm"])
def test_an_invalid_uuid_is_refused(batch: str) -> None:
    """A person who can write to Redis cannot make a worker query anything else."""
    with pytest.raises(ValueError, match="UUID"):
        BatchMessage.from_kwargs(v=1, batch=batch)
