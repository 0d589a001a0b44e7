"""Wavefront OBJ meshes: positions, texture coordinates and faces of any number of corners. Everything else is passed over."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retarget.io.files import check_file

_LARGEST_FILE = 1 << 29
_MOST_VERTICES = 1_000_000
_MOST_TRIANGLES = 4_000_000
_LARGEST = 1e9


@dataclass(frozen=True)
class ObjMesh:
    """positions: (V, 3) float64 as in the file, in its order. triangles: (T, 3) into positions. uv: (U, 2), v up as OBJ
    has it; uv_triangles: (T, 3) into uv, -1 for corners without. material: (T,) number in material_names."""

    positions: NDArray[np.float64]
    triangles: NDArray[np.int64]
    uv: NDArray[np.float64]
    uv_triangles: NDArray[np.int64]
    material: NDArray[np.int64]
    material_names: tuple[str, ...]


def read_obj(path: str | os.PathLike[str]) -> ObjMesh:
    """A triangle mesh: polygons are cut as fans from their first corner. ValueError or FileNotFoundError with one line."""
    source = check_file(path, "an .obj file", _LARGEST_FILE)
    reader = _Reader()
    with source.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            try:
                reader.line(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    try:
        return reader.mesh()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class _Reader:
    """What has been read so far, one list per kind of line."""

    def __init__(self) -> None:
        self.positions: list[Sequence[float]] = []
        self.uv: list[Sequence[float]] = []
        self.triangles: list[tuple[int, int, int]] = []
        self.uv_triangles: list[tuple[int, int, int]] = []
        self.material: list[int] = []
        self.names: dict[str, int] = {}
        self.current = "mesh"

    def line(self, line: str) -> None:
        kind, *words = line.split("#")[0].split() or [""]
        if kind == "v":
            self.positions.append(_numbers(words, 3, "a vertex"))
            if len(self.positions) > _MOST_VERTICES:
                raise ValueError(f"more than {_MOST_VERTICES} vertices; make the mesh simpler first")
        elif kind == "vt":
            self.uv.append(_numbers(words, 2, "a texture coordinate"))
        elif kind == "usemtl":
            self.current = " ".join(words)[:80] or "mesh"
        elif kind == "f":
            self._face(words)

    def _face(self, words: Sequence[str]) -> None:
        if len(words) < 3:
            raise ValueError(f"a face with {len(words)} corners (expected 3 or more)")
        if len(self.triangles) + len(words) - 2 > _MOST_TRIANGLES:
            raise ValueError(f"more than {_MOST_TRIANGLES} triangles; make the mesh simpler first")
        corners = [word.split("/") for word in words]
        places = [_index(corner[0], len(self.positions), "vertices") for corner in corners]
        textured = all(len(corner) > 1 and corner[1] for corner in corners)
        flat = [_index(c[1], len(self.uv), "texture coordinates") for c in corners] if textured else [-1] * len(words)
        material = self.names.setdefault(self.current, len(self.names))
        for k in range(1, len(words) - 1):
            self.triangles.append((places[0], places[k], places[k + 1]))
            self.uv_triangles.append((flat[0], flat[k], flat[k + 1]))
            self.material.append(material)

    def mesh(self) -> ObjMesh:
        if not self.triangles:
            raise ValueError(f"{len(self.positions)} vertices but no faces (expected lines such as 'f 1 2 3')")
        return ObjMesh(
            np.array(self.positions, np.float64),
            np.array(self.triangles, np.int64),
            np.array(self.uv, np.float64).reshape(-1, 2),
            np.array(self.uv_triangles, np.int64),
            np.array(self.material, np.int64),
            tuple(self.names),
        )


def _numbers(words: Sequence[str], count: int, what: str) -> list[float]:
    if len(words) < count:
        raise ValueError(f"{what} of {len(words)} numbers (expected {count})")
    values = [float(word) for word in words[:count]]
    if not all(abs(value) < _LARGEST for value in values):  # false for NaN too
        raise ValueError(f"{what} {' '.join(words[:count])[:60]!r} (expected numbers below {_LARGEST:g})")
    return values


def _index(text: str, count: int, what: str) -> int:
    """OBJ counts from 1, and backwards from the newest with negative numbers."""
    given = int(text)
    place = given - 1 if given > 0 else count + given
    if given == 0 or not 0 <= place < count:
        raise ValueError(f"a face names number {given} of {count} {what}")
    return place
