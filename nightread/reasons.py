"""The closed list of reasons why an image has no result, each with its class."""

from enum import StrEnum
from typing import Self


class Fault(StrEnum):
    """Whom a reason speaks about; only `defective` and `failed` count for alarms."""

    DEFECTIVE = "defective"
    OUT_OF_SCOPE = "out_of_scope"
    FAILED = "failed"


class Reason(StrEnum):
    """One word that is stored in the ledger, and the sentence that people read."""

    fault: Fault
    sentence: str

    def __new__(cls, value: str, fault: Fault, sentence: str) -> Self:
        """Attach class and sentence to the stored word."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.fault = fault
        member.sentence = sentence
        return member

    # The image is defective: rejected, never retried by itself.
    NOT_DICOM = "not_dicom", Fault.DEFECTIVE, "The file is not a DICOM object."
    EMPTY = "empty", Fault.DEFECTIVE, "The file holds no bytes."
    TRUNCATED = "truncated", Fault.DEFECTIVE, "The file ends before its pixel data do."
    BAD_HEADER = "bad_header", Fault.DEFECTIVE, "A header element that is needed is absent or makes no sense."
    NO_PIXEL_DATA = "no_pixel_data", Fault.DEFECTIVE, "The object is of an image class but has no pixel data."
    BAD_PIXELS = "bad_pixels", Fault.DEFECTIVE, "The pixel data cannot be decoded."
    UNSUPPORTED_SYNTAX = "unsupported_syntax", Fault.DEFECTIVE, "No decoder handles this transfer syntax."
    TOO_LARGE = "too_large", Fault.DEFECTIVE, "The file, or the image its header declares, exceeds the limits."
    BAD_ARCHIVE = "bad_archive", Fault.DEFECTIVE, "The archive is broken, encrypted, or packed in a way we do not take."
    ARCHIVE_LIMITS = "archive_limits", Fault.DEFECTIVE, "The archive holds more than an archive may, or nests too deep."
    ARCHIVE_ESCAPES = (
        "archive_escapes",
        Fault.DEFECTIVE,
        "The archive holds a link, a device, or a name that leads out of it: nothing was taken from it.",
    )
    BAD_DICOMDIR = "bad_dicomdir", Fault.DEFECTIVE, "The DICOMDIR's records cannot be followed."
    BAD_MANIFEST = "bad_manifest", Fault.DEFECTIVE, "The sender's manifest has a line that makes no sense."
    BAD_KEY_OBJECT = "bad_key_object", Fault.DEFECTIVE, "The key object note rejects images and cannot be read."

    # The image is none of ours: rejected, no alarm.
    NO_MODEL = "no_model", Fault.OUT_OF_SCOPE, "No model is configured for this kind of image."
    NON_IMAGE = "non_image", Fault.OUT_OF_SCOPE, "The DICOM object is not an image (report, plan, directory, waveform)."
    LOCALIZER = "localizer", Fault.OUT_OF_SCOPE, "The image is a localizer."
    SECONDARY_CAPTURE = "secondary_capture", Fault.OUT_OF_SCOPE, "The image is a secondary capture."
    FOR_PROCESSING = (
        "for_processing",
        Fault.OUT_OF_SCOPE,
        "The image is raw data, for processing and not for presentation.",
    )
    MANIFEST = "manifest", Fault.OUT_OF_SCOPE, "The file is a sender's manifest: its counts were noted."
    KEY_OBJECT = "key_object", Fault.OUT_OF_SCOPE, "The key object note rejects images: they are marked as withdrawn."
    MEDIA_FILE = "media_file", Fault.OUT_OF_SCOPE, "The file came in an archive beside its images and is no image."
    OWN_RESULT = "own_result", Fault.OUT_OF_SCOPE, "The object is a result that nightread itself made."
    CANCELLED = "cancelled", Fault.OUT_OF_SCOPE, "A person cancelled the analysis."
    SYMLINK = (
        "symlink",
        Fault.OUT_OF_SCOPE,
        "The name is a symbolic link that leaves the source folder or names a folder.",
    )
    NOT_A_FILE = "not_a_file", Fault.OUT_OF_SCOPE, "The name is not a regular file."

    # The world or we are at fault: failed once the retries are used up.
    MISSING_FILE = "missing_file", Fault.FAILED, "The file was gone when it was to be read."
    SOURCE_GONE = "source_gone", Fault.FAILED, "The source's folder was not there: unmounted or removed."
    STORE_UNAVAILABLE = "store_unavailable", Fault.FAILED, "The store did not answer, or answered that it could not."
    UNREADABLE = "unreadable", Fault.FAILED, "The file cannot be opened with the worker's permissions."
    IO_ERROR = "io_error", Fault.FAILED, "The storage answered with an error while the file was read."
    NO_ROOM = "no_room", Fault.FAILED, "The disk had no room for what the archive holds."
    STILL_CHANGING = "still_changing", Fault.FAILED, "The file changed while it was read, each time it was tried."
    STILL_ARRIVING = "still_arriving", Fault.FAILED, "The file was incomplete, and young enough to be still arriving."
    TIMEOUT = "timeout", Fault.FAILED, "Decoding a frame took longer than image_timeout_seconds."
    OUT_OF_MEMORY = "out_of_memory", Fault.FAILED, "There was not enough memory for this image, even alone."
    KILLED_WORKER = "killed_worker", Fault.FAILED, "The worker process died each time it worked on this image."
    BAD_SCORES = "bad_scores", Fault.FAILED, "The network answered with scores that are not finite numbers."
    UNSTORABLE = "unstorable", Fault.FAILED, "The database refused the values of this image."
    INTERNAL_ERROR = "internal_error", Fault.FAILED, "An unexpected error in nightread; the log names it by image id."
