"""Open associations with a receiver, and send it messages that no library would send."""

from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]


def associated(port: int, *abstract_syntaxes: str) -> Association:
    """Open an association with contexts for these SOP classes."""
    entity = AE()
    entity.dimse_timeout = 20
    for abstract_syntax in abstract_syntaxes:
        entity.add_requested_context(
            abstract_syntax, ImplicitVRLittleEndian if abstract_syntax == Verification else None
        )
    association = entity.associate("127.0.0.1", port, ae_title="NIGHTREAD")
    assert association.is_established
    return association


def store_command(dataset: Dataset, *, without: str = "", **uids: str) -> P_DATA:
    """Return the command of a C-STORE request, without one of its elements or with the word of no dataset.

    `uids` are values that pynetdicom would not send, by keyword.
    """
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    message.command_set.CommandDataSetType = 0x0101 if without == "dataset" else 1
    if without.startswith("Affected"):
        delattr(message.command_set, without)
    for keyword, uid in uids.items():
        setattr(message.command_set, keyword, uid)
    (command,) = message.encode_msg(1, 16384)
    return command


def fragments(*data: bytes) -> P_DATA:
    """Return P-DATA in the first context; each fragment begins with its message control header."""
    message = P_DATA()
    message.presentation_data_value_list = [[1, one] for one in data]  # type: ignore[misc]
    return message
