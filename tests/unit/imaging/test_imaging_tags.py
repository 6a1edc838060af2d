"""Each tag that nightread reads is the one of its keyword in PS3.6."""

from types import ModuleType

import pytest
from pydicom.datadict import tag_for_keyword

from imaging import tags

OTHER_KEYWORDS: dict[str, str | tuple[str, ...]] = {
    "FILE_META_LENGTH": "FileMetaInformationGroupLength",
    "TRANSFER_SYNTAX_UID": "TransferSyntaxUID",
    "SOP_CLASS_UID": "SOPClassUID",
    "SOP_INSTANCE_UID": "SOPInstanceUID",
    "ISSUER_OF_ACCESSION_NUMBER_SEQUENCE": "IssuerOfAccessionNumberSequence",
    "PATIENT_ID": "PatientID",
    "ISSUER_OF_PATIENT_ID": "IssuerOfPatientID",
    "LOCAL_NAMESPACE_ENTITY_ID": "LocalNamespaceEntityID",
    "STUDY_INSTANCE_UID": "StudyInstanceUID",
    "SERIES_INSTANCE_UID": "SeriesInstanceUID",
    "NUMBER_OF_STUDY_RELATED_INSTANCES": "NumberOfStudyRelatedInstances",
    "FLOAT_PADDING": ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    "DOUBLE_FLOAT_PADDING": ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
    "VOI_LUT_FUNCTION": "VOILUTFunction",
    "MODALITY_LUT_SEQUENCE": "ModalityLUTSequence",
    "LUT_DESCRIPTOR": "LUTDescriptor",
    "LUT_DATA": "LUTData",
    "VOI_LUT_SEQUENCE": "VOILUTSequence",
    "PRESENTATION_LUT_SEQUENCE": "PresentationLUTSequence",
    "PRESENTATION_LUT_SHAPE": "PresentationLUTShape",
    "PALETTE_DESCRIPTORS": (
        "RedPaletteColorLookupTableDescriptor",
        "GreenPaletteColorLookupTableDescriptor",
        "BluePaletteColorLookupTableDescriptor",
    ),
    "PALETTE_DATA": (
        "RedPaletteColorLookupTableData",
        "GreenPaletteColorLookupTableData",
        "BluePaletteColorLookupTableData",
    ),
    "SEGMENTED_PALETTE_DATA": (
        "SegmentedRedPaletteColorLookupTableData",
        "SegmentedGreenPaletteColorLookupTableData",
        "SegmentedBluePaletteColorLookupTableData",
    ),
    "CONTRAST_AGENT": "ContrastBolusAgent",
    "B_VALUE": "DiffusionBValue",
    "GRADIENT_ORIENTATION": "DiffusionGradientOrientation",
    "GRADIENT_DIRECTION_SEQUENCE": "DiffusionGradientDirectionSequence",
    "IMAGE_POSITION": "ImagePositionPatient",
    "IMAGE_ORIENTATION": "ImageOrientationPatient",
    "MR_ECHO_SEQUENCE": "MREchoSequence",
    "MR_DIFFUSION_SEQUENCE": "MRDiffusionSequence",
    "FRAME_TYPE_SEQUENCES": ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence"),
    "CONTRAST_USAGE_SEQUENCE": "ContrastBolusUsageSequence",
    "CONTRAST_ADMINISTERED": "ContrastBolusAgentAdministered",
    "CONTRAST_PHASE": "ContrastBolusAgentPhase",
    "STACK_ID": "StackID",
    "CARDIAC_TRIGGER_DELAY": "NominalCardiacTriggerDelayTime",
    "FRAME_VOI_LUT_SEQUENCE": "FrameVOILUTSequence",
    "FIRST_ROOT_RECORD": "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity",
    "DIRECTORY_RECORDS": "DirectoryRecordSequence",
    "NEXT_RECORD": "OffsetOfTheNextDirectoryRecord",
    "RECORD_IN_USE": "RecordInUseFlag",
    "LOWER_RECORD": "OffsetOfReferencedLowerLevelDirectoryEntity",
    "RECORD_TYPE": "DirectoryRecordType",
    "REFERENCED_FILE": "ReferencedFileID",
    "CODING_SCHEME": "CodingSchemeDesignator",
    "CODING_SCHEME_IDENTIFICATIONS": "CodingSchemeIdentificationSequence",
    "CONCEPT_NAME_CODES": "ConceptNameCodeSequence",
    "EVIDENCE_SEQUENCE": "CurrentRequestedProcedureEvidenceSequence",
    "REFERENCED_SERIES": "ReferencedSeriesSequence",
    "REFERENCED_SOPS": "ReferencedSOPSequence",
    "REFERENCED_SOP_INSTANCE_UID": "ReferencedSOPInstanceUID",
}
"""Keywords that are not the name in camel case."""


def named(module: ModuleType) -> dict[str, int | tuple[int, ...]]:
    """Return the tags of the module by their names."""
    found = {name: value for name, value in vars(module).items() if name.isupper()}
    assert isinstance(found.pop("PIXEL_DATA_TAGS"), frozenset)
    return found


@pytest.mark.parametrize(("name", "value"), named(tags).items(), ids=list(named(tags)))
def test_a_tag_is_that_of_its_keyword(name: str, value: int | tuple[int, ...]) -> None:
    """The dictionary is that of pydicom."""
    keywords = OTHER_KEYWORDS.get(name, name.title().replace("_", ""))
    expected = tag_for_keyword(keywords) if isinstance(keywords, str) else tuple(map(tag_for_keyword, keywords))
    assert value == expected
    assert expected is not None


def test_three_elements_may_hold_pixels() -> None:
    """PS3.3 C.7.6.3, C.7.6.24 and C.7.6.25."""
    assert sorted(tags.PIXEL_DATA_TAGS) == [0x7FE00008, 0x7FE00009, 0x7FE00010]


def test_a_message_has_keyword_and_number() -> None:
    """Groups and elements have four hex digits each; a private tag has no keyword."""
    assert tags.tag_name(0x00080060) == "Modality (0008,0060)"
    assert tags.tag_name(0x7FE00010) == "PixelData (7FE0,0010)"
    assert tags.tag_name(0xFFFCFFFC) == "DataSetTrailingPadding (FFFC,FFFC)"
    assert tags.tag_name(0x00091001) == "(0009,1001)"
