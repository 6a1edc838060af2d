"""Read the bytes of images, from files and from DICOM stores."""
