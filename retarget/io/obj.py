"""Read Wavefront OBJ meshes: positions, texture coordinates, materials and faces with any number of corners.

Other lines are ignored.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retarget.io.files import check_file

_MAX_BYTES = 1 << 29
_MAX_VERTICES = 1_000_000
_MAX_TRIANGLES = 4_000_000
_MAX_COORDINATE = 1e9


@dataclass(frozen=True)
class ObjMesh:
    """A triangle mesh.

    Attributes:
        positions: (V, 3) in the order and unit of the file.
        triangles: (T, 3) vertex numbers.
        uv: (U, 2) texture coordinates; v points up, as in OBJ.
        uv_triangles: (T, 3) numbers of texture coordinates, -1 for corners without.
        material: (T,) number in `material_names`.
        material_names: Names of the materials.
        material_files: Names of the .mtl files that describe them.
    """

    positions: NDArray[np.float64]
    triangles: NDArray[np.int64]
    uv: NDArray[np.float64]
    uv_triangles: NDArray[np.int64]
    material: NDArray[np.int64]
    material_names: tuple[str, ...]
    material_files: tuple[str, ...] = ()


def read_obj(path: str | os.PathLike[str]) -> ObjMesh:
    """Read a triangle mesh. Polygons are split into triangles that share the first corner.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, too large or has no faces. The message names the line.
    """
    source = check_file(path, "an .obj file", _MAX_BYTES)
    reader = _Reader()
    with source.open(encoding="utf-8", errors="replace") as file:
        for number, line in _join_lines(file):
            try:
                reader.read_line(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    try:
        return reader.mesh()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_obj_positions(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """Read the positions (V, 3) of an OBJ file and nothing else, which is quick for many files of the same mesh.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, too large or has no vertices.
    """
    source = check_file(path, "an .obj file", _MAX_BYTES)
    with source.open(encoding="utf-8", errors="replace") as file:
        rows = [line[2:] for line in file if line.startswith("v ")]
    if not 0 < len(rows) <= _MAX_VERTICES:
        raise ValueError(f"{path}: {len(rows)} vertices (expected 1 to {_MAX_VERTICES})")
    try:
        positions = np.loadtxt(rows, np.float64, usecols=(0, 1, 2), ndmin=2)
    except ValueError:
        raise ValueError(f"{path}: a vertex that is not three numbers") from None
    if positions.shape != (len(rows), 3) or not (np.abs(positions) < _MAX_COORDINATE).all():
        raise ValueError(f"{path}: a vertex that is not three numbers below {_MAX_COORDINATE:g}")
    return positions


def material_name(words: Sequence[str]) -> str:
    """Return the name of a material that .obj and .mtl files write as words."""
    return " ".join(words)[:80] or "mesh"


def _join_lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers. A line that ends in a backslash goes on in the next one, but no line with a comment does."""
    joined, start = "", 0
    for number, line in enumerate(lines, 1):
        start = start if joined else number
        joined += line
        if joined.rstrip().endswith("\\") and "#" not in joined:
            joined = joined.rstrip()[:-1] + " "
        else:
            yield start, joined
            joined = ""
    if joined:
        yield start, joined


class _Reader:
    """Collects the content of an OBJ file line by line."""

    def __init__(self) -> None:
        self.positions: list[Sequence[float]] = []
        self.uv: list[Sequence[float]] = []
        self.triangles: list[tuple[int, int, int]] = []
        self.uv_triangles: list[tuple[int, int, int]] = []
        self.material: list[int] = []
        self.names: dict[str, int] = {}
        self.current = material_name(())
        self.files: list[str] = []

    def read_line(self, line: str) -> None:
        """Read one line of the file."""
        kind, *words = line.split() or [""]
        if kind not in ("usemtl", "mtllib"):  # names may have a "#"
            words = " ".join(words).split("#")[0].split()
        if kind == "v":
            self.positions.append(_numbers(words, 3, "a vertex"))
            if len(self.positions) > _MAX_VERTICES:
                raise ValueError(f"more than {_MAX_VERTICES} vertices; make the mesh simpler first")
        elif kind == "vt":
            self.uv.append(_numbers(words, 2, "a texture coordinate"))
        elif kind == "usemtl":
            self.current = material_name(words)
        elif kind == "mtllib" and words:
            self.files += re.split(r"(?<=\.mtl)\s", " ".join(words), flags=re.IGNORECASE)
        elif kind == "f":
            self._face(words)

    def _face(self, words: Sequence[str]) -> None:
        if len(words) < 3:
            raise ValueError(f"a face with {len(words)} corners (expected 3 or more)")
        if len(self.triangles) + len(words) - 2 > _MAX_TRIANGLES:
            raise ValueError(f"more than {_MAX_TRIANGLES} triangles; make the mesh simpler first")
        corners = [word.split("/") for word in words]
        indices = [_index(corner[0], len(self.positions), "vertices") for corner in corners]
        textured = all(len(corner) > 1 and corner[1] for corner in corners)
        uv_indices = [_index(c[1], len(self.uv), "texture coordinates") for c in corners] if textured else [-1] * len(words)
        material = self.names.setdefault(self.current, len(self.names))
        for k in range(1, len(words) - 1):
            self.triangles.append((indices[0], indices[k], indices[k + 1]))
            self.uv_triangles.append((uv_indices[0], uv_indices[k], uv_indices[k + 1]))
            self.material.append(material)

    def mesh(self) -> ObjMesh:
        """Return all that was read; raise ValueError if there are no faces."""
        if not self.triangles:
            raise ValueError(f"{len(self.positions)} vertices but no faces (expected lines such as 'f 1 2 3')")
        return ObjMesh(
            np.array(self.positions, np.float64),
            np.array(self.triangles, np.int64),
            np.array(self.uv, np.float64).reshape(-1, 2),
            np.array(self.uv_triangles, np.int64),
            np.array(self.material, np.int64),
            tuple(self.names),
            tuple(dict.fromkeys(self.files)),
        )


def _numbers(words: Sequence[str], count: int, what: str) -> list[float]:
    if len(words) < count:
        raise ValueError(f"{what} of {len(words)} numbers (expected {count})")
    values = [float(word) for word in words[:count]]
    if not all(abs(value) < _MAX_COORDINATE for value in values):  # false for NaN too
        raise ValueError(f"{what} {' '.join(words[:count])[:60]!r} (expected numbers below {_MAX_COORDINATE:g})")
    return values


def _index(text: str, count: int, what: str) -> int:
    """Return an index from 0. OBJ counts from 1; negative numbers count backwards from the last item."""
    number = int(text)
    index = number - 1 if number > 0 else count + number
    if number == 0 or not 0 <= index < count:
        raise ValueError(f"a face names number {number} of {count} {what}")
    return index
