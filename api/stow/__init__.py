"""Store instances that DICOMweb clients send (STOW-RS, DICOM PS3.18, section 10.5)."""
