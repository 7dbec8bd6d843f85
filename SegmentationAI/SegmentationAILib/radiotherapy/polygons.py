"""Closed polygons in a plane: area, simplification that keeps it, crossings, and holes by keyhole.

A ring is [n, 2] vertices without the first repeated at the end; its area is positive where it turns
from x to y.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]

# A vertex of a sharp spike would move very far when its edges move by a unit; 2 is a corner of 60°.
_LARGEST_MITRE = 2.0


def area(ring: Ring) -> float:
    """Signed area in the square of the vertices' unit (shoelace formula)."""
    x, y = (ring - ring[0]).T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def simplify(ring: Ring, tolerance: float) -> Ring:
    """The fewest of its vertices by Douglas and Peucker (Cartographica 1973), three at least.

    Each vertex that is left out lies within ``tolerance`` of the ring that remains.
    """
    count = len(ring)
    if count <= 4 or tolerance <= 0:
        return ring
    start = int(np.argmin(ring[:, 0]))
    closed = np.concatenate([ring[start:], ring[: start + 1]])
    far = int(np.argmax(np.sum((closed - closed[0]) ** 2, axis=1)))
    kept = np.array([0, far, count])
    # All spans between kept vertices are split at once, until none has a vertex too far away.
    while True:
        span = np.repeat(np.arange(len(kept) - 1), np.diff(kept))
        distance = _distance_to_segment(closed[:-1], closed[kept[span]], closed[kept[span + 1]])
        furthest = np.maximum.reduceat(distance, kept[:-1])
        worst = np.flatnonzero((furthest[span] > tolerance) & (distance == furthest[span]))
        if not len(worst):
            break
        worst = worst[np.unique(span[worst], return_index=True)[1]]
        kept = np.union1d(kept, worst)
    return closed[kept[:-1]] if len(kept) > 3 else ring


def with_area(ring: Ring, target: float) -> Ring | None:
    """The ring with its edges moved along their normals, all by the same small distance, to a given area.

    Vertices move along the bisectors of their edges, so the area is a quadratic of the distance and
    is met exactly. Simplifying a convex ring takes area from it; this gives it back, and halves the
    distance to the ring that was simplified.

    Args:
        target: signed as the ring's own.

    Returns:
        None where no such distance exists.
    """
    edges = np.roll(ring, -1, axis=0) - ring
    lengths = np.linalg.norm(edges, axis=1, keepdims=True)
    if not np.all(lengths > 0):
        return None
    normals = np.column_stack([edges[:, 1], -edges[:, 0]]) / lengths
    bisector = normals + np.roll(normals, 1, axis=0)
    # |bisector|² is 2 (1 + cos of the turn): dividing by half of it gives edges that move by 1.
    half = np.maximum(0.5 * np.sum(bisector**2, axis=1, keepdims=True), 2.0 / _LARGEST_MITRE**2)
    bisector = bisector / half
    constant, square = area(ring), area(bisector)
    linear = area(ring + bisector) - constant - square
    roots = np.roots([square, linear, constant - target]) if square else np.array([(target - constant) / linear])
    roots = roots[np.isreal(roots)].real
    if not len(roots):
        return None
    return ring + roots[np.argmin(np.abs(roots))] * bisector


def cross(rings: Sequence[Ring]) -> bool:
    """Whether any two edges of the rings meet other than at the end they share."""
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    sizes = [len(ring) for ring in rings]
    first_of_ring = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    here = np.arange(len(start))
    following = first_of_ring + (here - first_of_ring + 1) % np.repeat(sizes, sizes)
    low, high = np.minimum(start, end), np.maximum(start, end)
    order = np.argsort(low[:, 0], kind="stable")
    reach = np.searchsorted(low[order, 0], high[order, 0], side="right")
    counts = np.maximum(reach - here - 1, 0)
    one = np.repeat(here, counts)
    other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(counts) - counts, counts)
    one, other = order[one], order[other]
    near = (low[one, 1] <= high[other, 1]) & (low[other, 1] <= high[one, 1])
    near &= (following[one] != other) & (following[other] != one)
    one, other = one[near], other[near]

    def side(a: Ring, b: Ring, point: Ring) -> NDArray[np.float64]:
        return (b[:, 0] - a[:, 0]) * (point[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (point[:, 0] - a[:, 0])

    apart = side(start[one], end[one], start[other]) * side(start[one], end[one], end[other]) > 0
    apart |= side(start[other], end[other], start[one]) * side(start[other], end[other], end[one]) > 0
    return bool(np.any(~apart))


def contains(ring: Ring, point: NDArray[np.float64]) -> bool:
    """Whether a point lies within a ring, by the parity of crossings of a ray along x."""
    (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
    crossed = (y0 <= point[1]) != (y1 <= point[1])
    at = x0[crossed] + (point[1] - y0[crossed]) * (x1[crossed] - x0[crossed]) / (y1[crossed] - y0[crossed])
    return bool(np.count_nonzero(at > point[0]) % 2)


def keyhole(outer: Ring, holes: Sequence[Ring]) -> Ring:
    """One ring for an outline and its holes, joined by channels of no width.

    The hole that is nearest to the ring so far is joined along the shortest line between them, so
    that no channel crosses an edge. The holes must turn the other way than the outline.
    """
    ring = outer
    waiting = list(holes)
    while waiting:
        links = [_shortest_link(ring, hole) for hole in waiting]
        nearest = int(np.argmin([link[0] for link in links]))
        _, (at, point), (hole_at, hole_point) = links[nearest]
        hole = waiting.pop(nearest)
        inner = np.concatenate([hole[hole_at + 1 :], hole[: hole_at + 1]])
        parts = [ring[: at + 1], point[None], hole_point[None], inner, hole_point[None], point[None], ring[at + 1 :]]
        ring = _without_repeats(np.concatenate(parts))
    return ring


def _shortest_link(ring: Ring, hole: Ring):
    """Distance, and on each ring the edge's index and the point on it, of the shortest line between them."""
    from_hole = _nearest_on_edges(hole, ring)
    from_ring = _nearest_on_edges(ring, hole)
    if from_hole[0] <= from_ring[0]:
        distance, vertex, edge, point = from_hole
        return distance, (edge, point), (vertex, hole[vertex])
    distance, vertex, edge, point = from_ring
    return distance, (vertex, ring[vertex]), (edge, point)


def _nearest_on_edges(vertices: Ring, ring: Ring) -> tuple[float, int, int, NDArray[np.float64]]:
    """Smallest distance of a vertex to an edge of the ring: distance, vertex, edge, point on the edge."""
    edges = np.roll(ring, -1, axis=0) - ring
    squared = np.maximum(np.sum(edges**2, axis=1), np.finfo(float).tiny)
    along = np.clip(((vertices[:, None] - ring) * edges).sum(axis=2) / squared, 0, 1)
    points = ring + along[..., None] * edges
    distance = np.linalg.norm(vertices[:, None] - points, axis=2)
    vertex, edge = np.unravel_index(int(np.argmin(distance)), distance.shape)
    return float(distance[vertex, edge]), int(vertex), int(edge), points[vertex, edge]


def _without_repeats(ring: Ring) -> Ring:
    return ring[np.any(ring != np.roll(ring, 1, axis=0), axis=1)]


def _distance_to_segment(points: Ring, start: Ring, end: Ring) -> NDArray[np.float64]:
    """[n] distance of each point to its own segment."""
    edge = end - start
    offset = points - start
    squared = np.maximum(np.einsum("nd,nd->n", edge, edge), np.finfo(float).tiny)
    along = np.clip(np.einsum("nd,nd->n", offset, edge) / squared, 0, 1)
    aside = offset - along[:, None] * edge
    return np.sqrt(np.einsum("nd,nd->n", aside, aside))
