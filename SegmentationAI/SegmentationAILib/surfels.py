"""Surface elements ("surfels") of a mask: where its surface runs and how large each piece of it is.

Every 2×2×2 neighbourhood of voxels has one of 256 patterns; marching cubes (Lorensen and Cline, SIGGRAPH 1987)
draws the surface through it. The area of that piece, at the corner that the eight voxels share, is what
Nikolov et al. (arXiv:1809.04430; J Med Internet Res 2021) weigh distances with. In 2-D, pieces are contour
lengths by marching squares. The conventions that give Nikolov's table:

- of a pattern and its complement, the one with fewer voxels is drawn, so both have the same area;
- voxels that touch in an edge or a corner alone are not joined;
- a polygon is cut into the triangles whose total area is largest where voxels are cubes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations, product
from math import hypot

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, ...]
Edge = tuple[Corner, Corner]


def surfel_codes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The pattern of the voxels around each voxel corner.

    Args:
        mask: bool, 2-D or 3-D; outside of it there is nothing.

    Returns:
        uint8, one longer than ``mask`` along each axis. Element n lies half a voxel before voxel n. Bit b is the
        neighbour at the offsets ``corners(ndim)[b]`` - 1. 0 is outside, all bits set is inside, others are surface.
    """
    codes = np.pad(mask.view(np.uint8), 1)
    for axis in reversed(range(mask.ndim)):
        before = codes[(slice(None),) * axis + (slice(None, -1),)]
        after = codes[(slice(None),) * axis + (slice(1, None),)]
        codes = before | (after << (1 << (mask.ndim - 1 - axis)))
    return codes


def corners(ndim: int) -> tuple[Corner, ...]:
    """Corners of the unit square or cube, in the order of the bits of a code."""
    return tuple(product((0, 1), repeat=ndim))


@lru_cache(maxsize=64)
def surfel_areas(spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Area in mm² (2-D: length in mm) of the surface in each pattern, by code.

    Args:
        spacing: voxel size along each axis, mm; two or three of them.
    """
    codes, vectors = _unit_elements(len(spacing))
    across = np.prod(spacing) / np.asarray(spacing) if len(spacing) == 3 else np.asarray(spacing)[::-1]
    areas = np.bincount(codes, np.linalg.norm(vectors * across, axis=1), minlength=1 << (1 << len(spacing)))
    areas.setflags(write=False)
    return areas


@lru_cache(maxsize=2)
def _unit_elements(ndim: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The code and the area vector (normal times area) of each triangle or segment, for voxels of size 1."""
    full = (1 << (1 << ndim)) - 1
    codes, vectors = [], []
    for code in range(1, full):
        drawn = code if 2 * code.bit_count() <= 1 << ndim else full - code
        inside = {corner for bit, corner in enumerate(corners(ndim)) if drawn >> bit & 1}
        pieces = _triangles(inside) if ndim == 3 else _segments(inside, set(corners(2)))
        for piece in pieces:
            codes.append(code)
            vectors.append(_area_vector(piece))
    return np.array(codes), np.array(vectors)


def _segments(inside: set[Corner], face: set[Corner]) -> list[list[Edge]]:
    """Lines across a face, each from edge to edge, that part the corners inside from the others."""
    crossed = [(a, b) for a, b in combinations(sorted(face), 2) if _adjacent(a, b) and (a in inside) != (b in inside)]
    if len(crossed) <= 2:
        return [crossed] if crossed else []
    return [[edge for edge in crossed if corner in edge] for corner in face & inside]


def _triangles(inside: set[Corner]) -> list[tuple[Edge, ...]]:
    """The surface around the corners inside, as triangles between midpoints of the cube's edges."""
    linked: dict[Edge, list[Edge]] = {}
    for axis, side in product(range(3), (0, 1)):
        for a, b in _segments(inside, {corner for corner in corners(3) if corner[axis] == side}):
            linked.setdefault(a, []).append(b)
            linked.setdefault(b, []).append(a)
    triangles = []
    while linked:
        polygon = [next(iter(linked))]
        while following := [edge for edge in linked.pop(polygon[-1]) if edge in linked]:
            polygon.append(following[0])
        triangles += max(_triangulations(polygon), key=_total_area)
    return triangles


def _triangulations(polygon: list[Edge]) -> list[list[tuple[Edge, ...]]]:
    """Every way to cut a polygon into triangles between its vertices."""
    if len(polygon) < 3:
        return [[]]
    return [
        [(polygon[0], polygon[apex], polygon[-1]), *left, *right]
        for apex in range(1, len(polygon) - 1)
        for left in _triangulations(polygon[: apex + 1])
        for right in _triangulations(polygon[apex:])
    ]


def _total_area(triangles: list[tuple[Edge, ...]]) -> float:
    # Cuts that differ by rounding alone are the same surface.
    return round(sum(hypot(*_area_vector(one)) for one in triangles), 9)


def _area_vector(piece: Sequence[Edge]) -> list[float]:
    """Half the cross product of two sides of a triangle between edge midpoints; in 2-D, the segment turned by 90°."""
    points = [[(x + y) / 2 for x, y in zip(*edge, strict=True)] for edge in piece]
    first, *others = [[x - start for x, start in zip(point, points[0], strict=True)] for point in points[1:]]
    if not others:
        return first[::-1]
    second = others[0]
    return [(first[n - 2] * second[n - 1] - first[n - 1] * second[n - 2]) / 2 for n in range(3)]


def _adjacent(a: Corner, b: Corner) -> bool:
    return sum(x != y for x, y in zip(a, b, strict=True)) == 1
