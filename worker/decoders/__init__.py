"""Read, decode and prepare images in processes of their own, which write the frames into shared memory."""
