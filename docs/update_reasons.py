"""Write the tables of docs/reasons.md from the code and the texts below: `python docs/update_reasons.py`."""

from pathlib import Path

from imaging.remarks import Remark
from nightread.reasons import Reason

PAGE = Path(__file__).parent / "reasons.md"

REASONS = {
    "not_dicom": (
        "The file is a program or an office document.",
        "Nothing if it is not an image. For PNG and JPEG set `NIGHTREAD_ACCEPT_RASTER`. Else ask the sender for DICOM.",
    ),
    "empty": ("The file is empty.", "Ask the sender for the file again."),
    "truncated": (
        "PixelData (7FE0,0010) at offset 1,432 ends within frame 3.",
        "Ask the sender for the whole file. A file that is still being written is retried automatically.",
    ),
    "bad_header": (
        "Rows (0028,0010) is missing or zero.",
        "Send the detail to the maker of the device or PACS that wrote the file.",
    ),
    "no_pixel_data": (
        "PixelData (7FE0,0010) is missing; the data set ends at offset 1,018.",
        "Ask the sender for the object with its pixels; some PACS send only headers.",
    ),
    "bad_pixels": (
        "The decoder failed (Jpeg8Error) (frame 2, at offset 20,480).",
        "Ask the sender for the file again, or in another transfer syntax.",
    ),
    "voi_unusable": (
        "The window (0028,1050) lacks its center or its width.",
        "Use a bundle that does not need the window of the header, or have the writer corrected.",
    ),
    "unsupported_syntax": (
        "No decoder is available for TransferSyntaxUID (0002,0010).",
        "Let the sender convert the image; [conformance.md](conformance.md) lists the transfer syntaxes.",
    ),
    "too_large": (
        "Rows (0028,0010) x Columns (0028,0011) exceeds the limit max_frame_pixels.",
        "Raise the limit if the image is genuine and memory is sufficient ([settings.md](settings.md)).",
    ),
    "bad_archive": ("The archive is encrypted.", "Ask for the archive again, as zip, tar, or tar with gzip."),
    "archive_limits": (
        "The archive is nested in 2 other archives: only 2 levels are unpacked.",
        "Unpack the archive by hand and check its files, or raise the limit.",
    ),
    "archive_escapes": (
        "The archive holds a link, a device or a path that leads out of it. Nothing was unpacked.",
        "Do not unpack the archive elsewhere. Ask the sender how it was made.",
    ),
    "bad_dicomdir": (
        "A record leads to offset 7, where no record begins.",
        "The images of the medium are analysed all the same; only the count of files per study is missing.",
    ),
    "bad_manifest": (
        "Entry 3 of the manifest has an invalid UID or an invalid number of images.",
        "Ask the sender to correct the manifest ([media.md](media.md)).",
    ),
    "bad_slice": (
        "A slice of the series has no result, so the bundle gives no result for the series.",
        "`nightread query --series UID` lists the slices; a slice that arrives again forms the series again.",
    ),
    "bad_key_object": (
        "The key object note rejects no image of its own study.",
        "Read the note in the PACS: the images that it should withdraw are still shown.",
    ),
    "no_model": (
        "No model is configured for this image. Run `nightread models route` to see the rules.",
        "Add a rule ([routing.md](routing.md)). Do nothing if such images need no analysis.",
    ),
    "non_image": ("The DICOMDIR lists 2 studies.", "Nothing."),
    "localizer": ("The image is a localizer.", "Nothing, unless a bundle should take localizers."),
    "secondary_capture": ("The image is a secondary capture.", "Nothing, unless a bundle should take such images."),
    "quality_control": ("The image is of a test object, for quality control.", "Nothing."),
    "out_of_domain": (
        "The model was not made for such images. Run `nightread models show NAME` to see which images it accepts.",
        "Route such images to another model. `--any-domain` is for experiments.",
    ),
    "ambiguous_series": (
        "Several slices of the series lie at one position, and nothing in their headers tells their stacks apart.",
        "Read the results of the single slices. If the device can, let it send each stack as a series of its own.",
    ),
    "series_rules": (
        "The stack has fewer slices than the bundle requires.",
        "Nothing, if such series are to be left out. [series_results.md](series_results.md) explains the rules.",
    ),
    "for_processing": (
        "The image holds raw data (FOR PROCESSING), not an image for presentation.",
        "This release does not use the reason: routing rules can select by the presentation intent.",
    ),
    "manifest": ("The manifest lists 12 studies.", "Nothing."),
    "key_object": ("The note with the title 113001 rejects 3 images.", "Nothing: the images are marked as withdrawn."),
    "media_file": ("The file was in an archive next to images and is not an image.", "Nothing."),
    "own_result": ("The object is a report that nightread itself made.", "Nothing."),
    "cancelled": (
        "A person cancelled the analysis.",
        "Nothing. `nightread retry` analyses the image after all, unless `nightread purge` removed it.",
    ),
    "opted_out": (
        "The patient opted out: the image was not analysed.",
        "Nothing. If the patient agrees again: `nightread opt-out remove`, then `nightread retry --reason opted_out`.",
    ),
    "symlink": (
        "The symbolic link is part of a circle of links.",
        "Put the file itself into the source folder.",
    ),
    "not_a_file": ("The name is not a regular file.", "Remove the pipe, socket or device from the source folder."),
    "missing_file": (
        "The store no longer has the instance.",
        "Find out who removed it; put it back, then run `nightread retry`.",
    ),
    "source_gone": (
        (
            "The source folder is missing: unmounted or removed. Mount it: "
            "waiting images then go on, failed ones need `nightread retry`."
        ),
        "Mount the folder, then run `nightread retry`.",
    ),
    "store_unavailable": (
        "The store was unavailable. When it is back, waiting images go on, failed ones need `nightread retry`.",
        "Check the store with `nightread doctor`, then run `nightread retry`.",
    ),
    "unreadable": (
        (
            "The worker has no permission to read the file. Correct it: "
            "waiting images then go on, failed ones need `nightread retry`."
        ),
        "Correct the permissions, then run `nightread retry`.",
    ),
    "io_error": ("Reading the file failed with EIO.", "Check the disk and the network, then run `nightread retry`."),
    "no_room": (
        (
            "The disk was too full to unpack the archive. Free some space: "
            "a waiting archive then goes on, a failed one needs `nightread retry`."
        ),
        "Free some space, then run `nightread retry`.",
    ),
    "still_changing": (
        "The file changed during every attempt to read it.",
        "Let the sender finish, then run `nightread retry`.",
    ),
    "still_arriving": (
        "The file was incomplete and so new that it may still be arriving.",
        "Nothing: the file is retried until `arrival_timeout_seconds` have passed, and then rejected as `truncated`.",
    ),
    "awaiting_series": (
        "The model needs the neighbouring slices: the image waits for the other slices of its series.",
        "Nothing: the image is analysed automatically later ([series_results.md](series_results.md)).",
    ),
    "series_not_formed": (
        Reason.SERIES_NOT_FORMED.message,
        "[What to do](series_results.md#a-series-that-cannot-be-formed); then run `nightread retry --failed`.",
    ),
    "timeout": (
        "Decoding frame 1 took longer than image_timeout_seconds (60 s).",
        "Raise `image_timeout_seconds` for large images, then run `nightread retry`.",
    ),
    "out_of_memory": (
        "The memory was not sufficient for this image, even alone in its batch.",
        "Give the worker more memory, or lower `max_frame_pixels`.",
    ),
    "killed_worker": (
        "Reading this image killed its trial process in 2 of 2 attempts.",
        "Keep the file and report it: a decoder has an error.",
    ),
    "model_missing": (
        "A re-run needs a model whose folder the worker's host does not have.",
        "Copy the bundle to the host, then run `nightread rerun` again.",
    ),
    "bad_scores": ("The model returned scores that are not finite numbers.", "Check the model with `models evaluate`."),
    "unstorable": ("The database rejected the values of this image.", "Search the worker's log for the image id."),
    "internal_error": (
        "The network failed; see the worker's log.",
        "Search the worker's log for the image id, and report the error.",
    ),
}
"""Maps each reason to an example of its detail, and to what a person can do."""

REMARKS = {
    "voi_not_used": (
        "The window (0028,1050) lacks its center or its width. The full range was used.",
        "Compare with the picture in the PACS: brightness and contrast may differ.",
    ),
    "palette_missing": (
        "The header has no colour palette; the indices were used as grey values.",
        "Ask the sender for the file with its palette.",
    ),
    "near_domain_edge": (
        "The intensities of the image are slightly outside of the range of the training images.",
        "Look at the image; many such remarks in a night mean that a device has changed.",
    ),
    "any_domain": (
        "It was not checked whether the model was made for this image (--any-domain).",
        "Do not use the result except for an experiment.",
    ),
    "frames_left_out": (
        "The pixel data seem to hold 2 more frames than NumberOfFrames (0028,0008) declares; they were left out.",
        "Ask the sender for the number of frames.",
    ),
    "frames_counted": (
        (
            "NumberOfFrames (0028,0008) is missing or wrong: the pixel data hold 3 frames, unless SamplesPerPixel "
            "(0028,0002) is 3."
        ),
        "Nothing if the number is right. Ask for missing frames. If another attribute may be wrong, look at the image.",
    ),
    "frame_groups_differ": (
        (
            "PerFrameFunctionalGroupsSequence (5200,9230) describes 2 of the frames, but the pixel data hold 3. A "
            "frame may have the window of another frame."
        ),
        "Ask the sender which frames are missing. Frames may have been analysed with the windows of other frames.",
    ),
    "pixels_unclosed": (
        "The file ends without the sequence delimiter of its pixel data. All frames are there.",
        (
            "If the pixel data are longer than the frames, look at the image. Else nothing; many such remarks from one "
            "sender mean that its transfers end too early."
        ),
    ),
    "syntax_contradicted": (
        "PixelData (7FE0,0010) at offset 1,432 is compressed, which contradicts TransferSyntaxUID (0002,0010).",
        "Nothing; the gateway that changed the transfer syntax should be corrected.",
    ),
    "photometric_assumed": (
        "PhotometricInterpretation (0028,0004) is missing; MONOCHROME2 was assumed.",
        "Check whether bone is white. If air is white, the sender must declare MONOCHROME1.",
    ),
    "bits_wrong": (
        "The compressed frames have 8 bits per sample, but BitsStored (0028,0101) is 12.",
        "Compare with the picture in the PACS: a window or rescale may refer to other values.",
    ),
    "colour_unsure": (
        (
            "PhotometricInterpretation (0028,0004) is YBR_FULL_422, but all samples are there, and their values look "
            "like RGB."
        ),
        "Compare the colours with those in the PACS; the program that decompressed the image should be corrected.",
    ),
    "uid_wrong": (
        "No valid UID: StudyInstanceUID (0020,000D).",
        "Ask the sender to correct its UIDs: no report can name this image, and other systems may fail to find it.",
    ),
    "partly_used": (
        "The window (0028,1050) has different numbers of centers (2) and widths (1); the first pair was used.",
        "Compare with the picture in the PACS: brightness and contrast may differ, or black and white be exchanged.",
    ),
}
"""Maps each remark to an example of its detail, and to what a person can do."""


def reasons_table() -> str:
    """Return one row for each reason, in the order of nightread/reasons.py."""
    rows = [f"| `{each}` | {each.fault} | {each.message} | {' | '.join(REASONS[each])} |" for each in Reason]
    return "\n".join(("| reason | class | meaning | example of a detail | what to do |", "| --- " * 5 + "|", *rows))


def remarks_table() -> str:
    """Return one row for each remark, in the order of imaging/remarks.py."""
    rows = [f"| `{each}` | {each.message} | {' | '.join(REMARKS[each])} |" for each in Remark]
    return "\n".join(("| remark | meaning | example of a detail | what to do |", "| --- " * 4 + "|", *rows))


def page_with_tables(page: str) -> str:
    """Return the page with new tables between their marks."""
    for name, table in (("reasons", reasons_table()), ("remarks", remarks_table())):
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{table}\n{end}{rest.partition(end)[2]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text("utf-8")), "utf-8")
