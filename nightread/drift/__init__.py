"""Compare the images and results of a night with a reference (docs/drift.md). Pure numpy; no image is needed."""
