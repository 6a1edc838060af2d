"""Find the regions of a heat map, in pixels of the image."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.prepare import placement
from imaging.spec import InputSpec

Polygon = NDArray[np.float64]
"""(points, 2): column and row of each point. (0, 0) is the top left corner of the top left pixel (DICOM PS3.3,
C.18.6.1.2), so the middle of this pixel is (0.5, 0.5). The first point is not repeated at the end."""

SHARE_OF_PEAK = 0.5
"""A region is where the heat is at least this share of its highest value (Zhou et al., 2016, arXiv:1512.04150, use 0.2
for boxes around whole objects; lesions are smaller)."""
MOST_REGIONS = 5
_LEAST_AREA = 0.1
"""Regions smaller than this share of the largest region are left out."""
_GRID = 512
"""The longer side, in pixels, to which a smaller heat map is enlarged, so that outlines are smooth."""
_TOLERANCE = 0.002
"""Largest distance between outline and polygon, as a share of the longer side of the grid."""
_LEAST_POINTS = 3


def outline(heat: NDArray[np.float32], spec: InputSpec, rows: int, columns: int) -> list[Polygon]:
    """Return the outlines of the regions in an image of this size, the largest first; none if there is no evidence.

    `heat` is Explanation.heat: (height, width) of the input, 0 to 1.
    """
    if heat.max() <= 0:
        return []
    factor = max(_GRID / max(heat.shape), 1.0)
    size = round(heat.shape[1] * factor), round(heat.shape[0] * factor)
    grid = cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR)
    mask = (grid >= SHARE_OF_PEAK * grid.max()).astype(np.uint8)
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    scale = np.array((heat.shape[1] / size[0], heat.shape[0] / size[1]))
    simple = (cv2.approxPolyDP(contour, _TOLERANCE * max(size), closed=True)[:, 0] for contour in found)
    placed = [_on_image((points + 0.5) * scale, spec, rows, columns) for points in simple]
    return list(_largest([polygon for polygon in placed if len(polygon) >= _LEAST_POINTS]))


def heat_on_image(heat: NDArray[np.float32], spec: InputSpec, rows: int, columns: int) -> NDArray[np.float32]:
    """Return the heat of each pixel of the image, (rows, columns); 0 where the network did not see the image."""
    source, target = placement(rows, columns, spec)
    height, width = (part.stop - part.start for part in source)
    whole = np.zeros((rows, columns), np.float32)
    whole[source] = cv2.resize(heat[target], (width, height), interpolation=cv2.INTER_LINEAR)
    return whole


def _on_image(points: Polygon, spec: InputSpec, rows: int, columns: int) -> Polygon:
    """Convert points of the input to points of the image; points in the padding move to the edge."""
    source, target = placement(rows, columns, spec)
    placed = np.empty_like(points)
    for axis, (of_source, of_target, limit) in enumerate(zip(source[::-1], target[::-1], (columns, rows), strict=True)):
        scale = (of_source.stop - of_source.start) / (of_target.stop - of_target.start)
        placed[:, axis] = (of_source.start + (points[:, axis] - of_target.start) * scale).clip(0, limit)
    return placed


def _largest(polygons: list[Polygon]) -> Iterator[Polygon]:
    areas = [cv2.contourArea(polygon.astype(np.float32)) for polygon in polygons]
    order = sorted(range(len(polygons)), key=lambda index: -areas[index])[:MOST_REGIONS]
    for index in order:
        if areas[index] > 0 and areas[index] >= _LEAST_AREA * areas[order[0]]:
            yield polygons[index]
