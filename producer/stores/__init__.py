"""Poll DICOMweb and Orthanc stores for new images."""
