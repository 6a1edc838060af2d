"""Show the pictures of images: previews, thumbnails and heat maps (docs/pictures.md)."""
