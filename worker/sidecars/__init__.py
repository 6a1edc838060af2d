"""Read non-image files that describe images: manifests, DICOMDIR, key object notes."""
