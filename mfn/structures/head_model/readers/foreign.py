"""What all readers of other head models do: meters, outward triangles, twins of vertices. SciPy is needed (the extra `heads`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.mesh import triangle_normals

Floats = NDArray[np.float32]
UNITS_M = (1.0, 0.1, 0.01, 0.001, 1e-6)
"""Units of published models: meters, decimeters, centimeters, millimeters, micrometers."""
HEAD_HEIGHT_M = (0.12, 0.7)  # from a cropped face to a head with neck and shoulders; less than a factor of ten
_SYMMETRIC = 0.9  # correlation from which a component counts as its own mirror image
_MAX_VALUES = 1 << 29


@dataclass(frozen=True)
class MorphableModel:
    """A head model as its file has it, in the file's unit. V vertices, T triangles, I and E components.

    Attributes:
        path: The file, for messages.
        mean: (V, 3) x to the subject's left, y up, z out of the face.
        identity: (I, V, 3) offsets per standard deviation.
        expression: (E, V, 3) offsets at weight 1.
        expression_names: E names.
        triangles: (T, 3) vertex numbers from 0.
        landmark_sets: Name -> vertex numbers (L,).
        regions: Name -> the vertex after the last one of the region; regions follow each other. None: one region.
    """

    path: Path
    mean: NDArray[Any]
    identity: NDArray[Any]
    expression: NDArray[Any]
    expression_names: tuple[str, ...]
    triangles: NDArray[Any]
    landmark_sets: dict[str, NDArray[Any]] = field(default_factory=dict)
    regions: dict[str, int] | None = None


def component_names(count: int) -> tuple[str, ...]:
    """Return names for principal components of the expression, counted from 1."""
    return tuple(f"expression_{i:03d}" for i in range(1, count + 1))


def head_arguments(model: MorphableModel) -> dict[str, Any]:
    """Check a model and return the arguments of `HeadModel`.

    Raises:
        ValueError: Arrays do not fit each other, are not finite, or have the size of no head in any unit.
        ImportError: SciPy is missing.
    """
    _check(model)
    mean = np.asarray(model.mean, np.float64)
    unit = unit_m(float(np.ptp(mean[:, 1])), model.path)
    mean *= unit
    triangles = _outward(mean, np.asarray(model.triangles, np.int64))
    identity, expression = (_in_meters(part, unit) for part in (model.identity, model.expression))
    mirror = _twins(mean)
    count = len(mean)
    regions = model.regions or {"head": count}
    return {
        "mean": mean.astype(np.float32),
        "identity_basis": identity,
        "expression_basis": expression,
        "triangles": triangles.astype(np.int32),
        "uv": np.full((count, 2), -1, np.float32),
        "mirror": mirror.astype(np.int32),
        "identity_mirror": _mirror_signs(identity, mirror),
        "region": np.searchsorted(list(regions.values()), np.arange(count), side="right").astype(np.uint8),
        "region_names": tuple(regions),
        "landmark_sets": {name: _as_points(index) for name, index in model.landmark_sets.items()},
        "mediapipe478_spread": np.zeros(0, np.float32),
        "expression_names": model.expression_names,
    }


def unit_m(height: float, path: Path) -> float:
    """Return the unit in meters in which a mesh of this height is a head."""
    fits = [unit for unit in UNITS_M if HEAD_HEIGHT_M[0] <= height * unit <= HEAD_HEIGHT_M[1]]
    if not fits:
        limits = f"{HEAD_HEIGHT_M[0]} to {HEAD_HEIGHT_M[1]} m in meters, dm, cm, mm or micrometers"
        raise ValueError(f"{path}: expected a head of {limits}, got a mesh of height {height:g}")
    return fits[0]


def _check(model: MorphableModel) -> None:
    count = len(model.mean)
    wanted = {
        "mean": (model.mean, (count, 3)),
        "identity": (model.identity, (len(model.identity), count, 3)),
        "expression": (model.expression, (len(model.expression_names), count, 3)),
        "triangles": (model.triangles, (len(model.triangles), 3)),
    }
    for name, (array, shape) in wanted.items():
        if array.shape != shape:
            raise ValueError(f"{model.path}: {name}: expected shape {shape}, got {array.shape}")
        if array.size > _MAX_VALUES:
            raise ValueError(f"{model.path}: {name}: expected at most {_MAX_VALUES} numbers, got {array.size}")
        if not np.isfinite(array).all():
            raise ValueError(f"{model.path}: {name}: expected finite numbers, got NaN or infinity")
    if not count or not len(model.triangles):
        raise ValueError(f"{model.path}: expected vertices and triangles, got {count} and {len(model.triangles)}")
    for name, index in {"triangles": model.triangles, **model.landmark_sets}.items():
        if index.size and not (index.min() >= 0 and index.max() < count):
            raise ValueError(f"{model.path}: {name}: expected vertex numbers from 0 to {count - 1}, got {index.min()} to {index.max()}")


def _in_meters(basis: NDArray[Any], unit: float) -> Floats:
    meters = np.array(basis, np.float32)  # a copy: it is scaled in place
    meters *= np.float32(unit)
    return meters


def _outward(mean: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn the triangles so that those of the face's front look forward."""
    normals = triangle_normals(mean, triangles)
    center = mean[triangles].mean(1)
    front = center[:, 2] > np.quantile(center[:, 2], 0.7)
    forward = (normals.normal[front, 2] * normals.area[front]).sum()
    return triangles if forward >= 0 else np.ascontiguousarray(triangles[:, ::-1])


def _twins(mean: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each vertex the one that is nearest to its mirror image."""
    try:
        from scipy.spatial import cKDTree
    except ImportError:
        raise ImportError('reading other head models needs SciPy: pip install ".[heads]"') from None
    middle = (mean[:, 0].min() + mean[:, 0].max()) / 2
    mirrored = mean * [-1, 1, 1] + [2 * middle, 0, 0]
    return np.asarray(cKDTree(mean).query(mirrored)[1], np.int64)


def _mirror_signs(basis: Floats, mirror: NDArray[np.int64]) -> Floats:
    """Return +1 for symmetric components, -1 for antisymmetric ones, 0 for the others."""
    signs = np.zeros(len(basis), np.float32)
    for i, part in enumerate(basis):
        image = part[mirror] * np.array([-1, 1, 1], np.float32)
        likeness = float((part * image).sum()) / max(float((part * part).sum()), 1e-20)
        signs[i] = np.sign(likeness) * (abs(likeness) >= _SYMMETRIC)
    return signs


def _as_points(index: NDArray[Any]) -> tuple[NDArray[np.int32], Floats]:
    """Return vertices as barycentric points: corners (L, 3) and weights (L, 3)."""
    return np.repeat(index.astype(np.int32)[:, None], 3, 1), np.tile(np.array([1, 0, 0], np.float32), (len(index), 1))
