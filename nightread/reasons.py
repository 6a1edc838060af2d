"""List the reasons why an image has no result, each with its class and its message."""

from enum import StrEnum
from typing import Self


class Fault(StrEnum):
    """The class of a reason. Only `defective` and `failed` count for alarms."""

    DEFECTIVE = "defective"
    OUT_OF_SCOPE = "out_of_scope"
    FAILED = "failed"


class Reason(StrEnum):
    """One word that the database stores, with the message that people read in `status` and `query`."""

    fault: Fault
    message: str

    def __new__(cls, value: str, fault: Fault, message: str) -> Self:
        """Attach class and message to the stored word."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.fault = fault
        member.message = message
        return member

    # Defective images: rejected, never retried automatically.
    NOT_DICOM = "not_dicom", Fault.DEFECTIVE, "The file is not a DICOM object."
    EMPTY = "empty", Fault.DEFECTIVE, "The file is empty."
    TRUNCATED = (
        "truncated",
        Fault.DEFECTIVE,
        "The file ends before the end of its pixel data. Ask the sender for the whole file.",
    )
    BAD_HEADER = "bad_header", Fault.DEFECTIVE, "A required header element is missing or invalid."
    NO_PIXEL_DATA = "no_pixel_data", Fault.DEFECTIVE, "The object belongs to an image class but has no pixel data."
    BAD_PIXELS = "bad_pixels", Fault.DEFECTIVE, "The pixel data cannot be decoded."
    VOI_UNUSABLE = (
        "voi_unusable",
        Fault.DEFECTIVE,
        "The window or lookup table of the header cannot be used, and the model needs it.",
    )
    UNSUPPORTED_SYNTAX = "unsupported_syntax", Fault.DEFECTIVE, "No decoder is available for this transfer syntax."
    TOO_LARGE = (
        "too_large",
        Fault.DEFECTIVE,
        "The file, or the image that its header declares, exceeds a limit. See the settings max_*.",
    )
    BAD_ARCHIVE = (
        "bad_archive",
        Fault.DEFECTIVE,
        "The archive is damaged, encrypted or compressed with an unsupported method.",
    )
    ARCHIVE_LIMITS = (
        "archive_limits",
        Fault.DEFECTIVE,
        "The archive holds too many files, too many bytes, or archives that are nested too deeply.",
    )
    ARCHIVE_ESCAPES = (
        "archive_escapes",
        Fault.DEFECTIVE,
        "The archive holds a link, a device or a path that leads out of it. Nothing was unpacked.",
    )
    BAD_DICOMDIR = "bad_dicomdir", Fault.DEFECTIVE, "The records of the DICOMDIR do not form a valid directory."
    BAD_MANIFEST = "bad_manifest", Fault.DEFECTIVE, "The manifest is invalid. Ask the sender to correct it."
    BAD_SLICE = (
        "bad_slice",
        Fault.DEFECTIVE,
        "A slice of the series has no result, so the bundle gives no result for the series.",
    )
    BAD_KEY_OBJECT = "bad_key_object", Fault.DEFECTIVE, "The key object note rejects images but cannot be read."

    # Images out of scope: rejected, no alarm.
    NO_MODEL = (
        "no_model",
        Fault.OUT_OF_SCOPE,
        "No model is configured for this image. Run `nightread models route` to see the rules.",
    )
    NON_IMAGE = "non_image", Fault.OUT_OF_SCOPE, "The DICOM object is not an image (report, plan, directory, waveform)."
    LOCALIZER = "localizer", Fault.OUT_OF_SCOPE, "The image is a localizer."
    SECONDARY_CAPTURE = "secondary_capture", Fault.OUT_OF_SCOPE, "The image is a secondary capture."
    QUALITY_CONTROL = "quality_control", Fault.OUT_OF_SCOPE, "The image is of a test object, for quality control."
    OUT_OF_DOMAIN = (
        "out_of_domain",
        Fault.OUT_OF_SCOPE,
        "The model was not made for such images. Run `nightread models show NAME` to see which images it accepts.",
    )
    AMBIGUOUS_SERIES = (
        "ambiguous_series",
        Fault.OUT_OF_SCOPE,
        "Several slices of the series lie at one position, and nothing in their headers tells their stacks apart.",
    )
    SERIES_RULES = (
        "series_rules",
        Fault.OUT_OF_SCOPE,
        "The model was not made for such a series. Run `nightread models show NAME` to see which series it accepts.",
    )
    FOR_PROCESSING = (
        "for_processing",
        Fault.OUT_OF_SCOPE,
        "The image holds raw data (FOR PROCESSING), not an image for presentation.",
    )
    MANIFEST = (
        "manifest",
        Fault.OUT_OF_SCOPE,
        "The file is a manifest: the number of images that it lists for each study is stored.",
    )
    KEY_OBJECT = (
        "key_object",
        Fault.OUT_OF_SCOPE,
        "The key object note rejects images. These images are marked as withdrawn.",
    )
    MEDIA_FILE = "media_file", Fault.OUT_OF_SCOPE, "The file was in an archive next to images and is not an image."
    OWN_RESULT = "own_result", Fault.OUT_OF_SCOPE, "The object is a report that nightread itself made."
    CANCELLED = "cancelled", Fault.OUT_OF_SCOPE, "A person cancelled the analysis."
    OPTED_OUT = "opted_out", Fault.OUT_OF_SCOPE, "The patient opted out: the image was not analysed."
    SYMLINK = (
        "symlink",
        Fault.OUT_OF_SCOPE,
        "The file is behind a symbolic link that leads out of the source folder, or the link leads to a folder.",
    )
    NOT_A_FILE = "not_a_file", Fault.OUT_OF_SCOPE, "The name is not a regular file."

    # Temporary errors and errors of the installation: failed when the retries are used up.
    MISSING_FILE = "missing_file", Fault.FAILED, "The file was removed before a worker read it."
    SOURCE_GONE = (
        "source_gone",
        Fault.FAILED,
        (
            "The source folder is missing: unmounted or removed. Mount it: "
            "waiting images then go on, failed ones need `nightread retry`."
        ),
    )
    STORE_UNAVAILABLE = (
        "store_unavailable",
        Fault.FAILED,
        "The store was unavailable. When it is back, waiting images go on, failed ones need `nightread retry`.",
    )
    UNREADABLE = (
        "unreadable",
        Fault.FAILED,
        (
            "The worker has no permission to read the file. Correct it: "
            "waiting images then go on, failed ones need `nightread retry`."
        ),
    )
    IO_ERROR = (
        "io_error",
        Fault.FAILED,
        "The storage reported an error while the file was read. Check the disk and the network.",
    )
    NO_ROOM = (
        "no_room",
        Fault.FAILED,
        (
            "The disk was too full to unpack the archive. Free some space: "
            "a waiting archive then goes on, a failed one needs `nightread retry`."
        ),
    )
    STILL_CHANGING = "still_changing", Fault.FAILED, "The file changed during every attempt to read it."
    STILL_ARRIVING = "still_arriving", Fault.FAILED, "The file was incomplete and so new that it may still be arriving."
    AWAITING_SERIES = (
        "awaiting_series",
        Fault.FAILED,
        "The model needs the neighbouring slices: the image waits for the other slices of its series.",
    )
    SERIES_NOT_FORMED = (
        "series_not_formed",
        Fault.FAILED,
        (
            "All attempts to put the slices of the series in order, or to form its result, failed. Search the worker's "
            "log for `series not formed`."
        ),
    )
    TIMEOUT = (
        "timeout",
        Fault.FAILED,
        (
            "Decoding one frame took longer than image_timeout_seconds, or decoding all frames took longer than the "
            "limit for the size of the stored pixel data."
        ),
    )
    OUT_OF_MEMORY = (
        "out_of_memory",
        Fault.FAILED,
        "The memory was not sufficient for this image, even alone in its batch.",
    )
    KILLED_WORKER = "killed_worker", Fault.FAILED, "The worker process died at every attempt to analyse this image."
    BAD_SCORES = "bad_scores", Fault.FAILED, "The model returned scores that are not finite numbers."
    MODEL_MISSING = (
        "model_missing",
        Fault.FAILED,
        (
            "The worker's host does not have the model of this re-run, or cannot load it. Copy its folder there, and "
            "give the command `nightread rerun` again."
        ),
    )
    UNSTORABLE = "unstorable", Fault.FAILED, "The database rejected the values of this image."
    INTERNAL_ERROR = (
        "internal_error",
        Fault.FAILED,
        "An unexpected error occurred in nightread. Search the worker's log for the image id.",
    )


PICTURE = "The file is a PNG or JPEG picture. NIGHTREAD_ACCEPT_RASTER=true accepts such files."
"""The message for a picture that is rejected as `not_dicom`."""
