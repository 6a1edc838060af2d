"""Show which pixels a prediction depends on (Grad-CAM, or occlusion)."""
