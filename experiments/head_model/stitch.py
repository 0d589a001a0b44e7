"""Triangulate points on a disc-like surface.

The points are triangulated by Delaunay in a plane drawing of the surface. Then the given edges are enforced by edge
flips. At last edges are flipped until the triangulation is Delaunay on the surface itself.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import Delaunay

from experiments.head_model.surface import Floats, Ints


class FlatMesh:
    """Hold a triangulation of points in the plane whose edges can be flipped.

    Attributes:
        flat: (P, 2) positions in the plane.
        triangles: Vertex numbers of each triangle, counter-clockwise.
        owner: Number of the triangle that holds a directed edge.
    """

    def __init__(self, flat: Floats) -> None:
        self.flat = flat
        simplices = Delaunay(flat).simplices
        self.triangles = [list(map(int, t)) if self.area(*t) > 0 else list(map(int, t[::-1])) for t in simplices]
        self.owner = {(t[k], t[(k + 1) % 3]): i for i, t in enumerate(self.triangles) for k in range(3)}

    def area(self, a: int, b: int, c: int) -> float:
        """Return twice the signed area of the triangle abc in the plane."""
        (ax, ay), (bx, by), (cx, cy) = self.flat[a], self.flat[b], self.flat[c]
        return float((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))

    def opposite(self, a: int, b: int) -> int:
        """Return the third corner of the triangle that holds the directed edge ab."""
        return next(k for k in self.triangles[self.owner[a, b]] if k != a and k != b)

    def flip(self, a: int, b: int) -> tuple[int, int] | None:
        """Replace edge ab by the other diagonal of its quadrilateral; return the new edge, or None if the quadrilateral is not convex."""
        c, d = self.opposite(a, b), self.opposite(b, a)
        if self.area(c, a, d) <= 0 or self.area(d, b, c) <= 0:
            return None
        left, right = self.owner.pop((a, b)), self.owner.pop((b, a))
        self.triangles[left], self.triangles[right] = [c, a, d], [d, b, c]
        for i in (left, right):
            t = self.triangles[i]
            for k in range(3):
                self.owner[t[k], t[(k + 1) % 3]] = i
        return c, d

    def crosses(self, a: int, b: int, c: int, d: int) -> bool:
        """Return whether the open segments ab and cd cross."""
        if len({a, b, c, d}) < 4:
            return False
        return self.area(a, b, c) * self.area(a, b, d) < 0 and self.area(c, d, a) * self.area(c, d, b) < 0

    def enforce(self, a: int, b: int) -> None:
        """Flip edges until ab is an edge.

        Raises:
            ValueError: The edge passes through another point of the plane drawing.
        """
        for _ in range(200):
            if (a, b) in self.owner or (b, a) in self.owner:
                return
            crossing = [e for e in self.owner if e[0] < e[1] and self.crosses(a, b, *e)]
            flipped = [e for e in crossing if e[::-1] in self.owner and self.flip(*e)]
            if not flipped:
                break
        raise ValueError(
            f"expected a free way for the edge {a}-{b}, got another point on it: move the points of the row"
        )

    def make_delaunay(self, position: Floats, kept: set[tuple[int, int]]) -> None:
        """Flip edges until opposite angles sum to at most 180 degrees on the surface.

        Args:
            position: (P, 3) positions on the surface.
            kept: Edges that stay as they are.
        """
        queue = list(self.owner)
        for _ in range(200 * len(queue)):
            if not queue:
                return
            a, b = queue.pop()
            if (a, b) not in self.owner or (b, a) not in self.owner or (a, b) in kept or (b, a) in kept:
                continue
            c, d = self.opposite(a, b), self.opposite(b, a)
            if (
                _angle(position, c, a, b) + _angle(position, d, a, b) <= np.pi + 1e-6
                or (c, d) in self.owner
                or (d, c) in self.owner
            ):
                continue
            if self.flip(a, b):
                queue += [(b, c), (c, a), (a, d), (d, b)]


def _angle(position: Floats, apex: int, a: int, b: int) -> float:
    """Return the angle at `apex` in the triangle with corners a and b, radians."""
    u, w = position[a] - position[apex], position[b] - position[apex]
    return float(np.arccos(np.clip(u @ w / np.sqrt((u @ u) * (w @ w)), -1, 1)))


def triangulate(flat: Floats, position: Floats, edges: Ints, hole: Ints) -> Ints:
    """Triangulate points with given edges and one hole.

    Args:
        flat: (P, 2) positions in the plane.
        position: (P, 3) positions on the surface.
        edges: (E, 2) edges that must exist.
        hole: (H,) loop of points whose interior stays empty.

    Returns:
        Triangles (T, 3), counter-clockwise in the plane.
    """
    center = flat[hole].mean(0)
    mesh = FlatMesh(np.concatenate([flat, center[None]]))
    around = np.stack([hole, np.roll(hole, -1)], 1)
    kept = {(int(a), int(b)) for a, b in np.concatenate([edges, around])}
    for a, b in kept:
        mesh.enforce(a, b)
    mesh.make_delaunay(np.concatenate([position, position[hole].mean(0)[None]]), kept)
    loop = {frozenset((int(a), int(b))) for a, b in around}
    inside, todo = set(), [i for i, t in enumerate(mesh.triangles) if len(flat) in t]
    while todo:
        i = todo.pop()
        if i in inside:
            continue
        inside.add(i)
        t = mesh.triangles[i]
        for k in range(3):
            edge = (t[k], t[(k + 1) % 3])
            if frozenset(edge) not in loop and edge[::-1] in mesh.owner:
                todo.append(mesh.owner[edge[::-1]])
    return np.array([t for i, t in enumerate(mesh.triangles) if i not in inside])
