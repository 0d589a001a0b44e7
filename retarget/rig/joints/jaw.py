"""How a jaw joint follows jawOpen, jawForward, jawLeft and jawRight.

Letters: N people, V vertices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.geometry.rotations import affine_matrix, rotation_about
from retarget.rig.skinned_mesh import JAW, SkinnedMesh

JAW_ROWS = tuple(ARKIT_NAMES.index(name) for name in ("jawOpen", "jawForward", "jawLeft", "jawRight"))
"""Rows of the coefficients that a jaw joint follows."""

# A person's jaw at coefficient 1: it opens by 22 degrees and moves by 7 mm. A grown head is 0.24 m high.
_OPEN_RAD = 0.38
_SHIFT = np.array([(0, 0, 0.029), (0.029, 0, 0), (-0.029, 0, 0)])  # forward, left, right; in heights of the head
_HINGE = np.array((0.0, -0.12, -0.35))  # from between the eyes to between the jaw's hinges, in heights of the head
_MAX_OPEN_RAD = 0.7
_MIN_AHEAD = 0.06  # how far ahead of its joint what it carries must lie at least, in heights of the head
_STRONGEST = 0.6  # vertices count that a target moves by this part of its largest movement
_MIN_MOVED = 0.1  # and a vertex is moved at all from this part on
_MAX_OVERLAP = 0.25  # part of the jaw's share of a mesh that targets may move besides


class JawMotion(NamedTuple):
    """How a jaw joint moves.

    Attributes:
        joint: Number of the node.
        pivot: (3,) the point about which it turns, in the rig's scene at rest.
        open_rad: How far it opens at jawOpen 1, in radians.
        shift: (3, 3) how it moves at jawForward, jawLeft and jawRight 1, in the rig's unit; x to the subject's left, y up, z out
            of the face.
        front: (3, 3) rotation from the rig's scene to these axes.
    """

    joint: int
    pivot: NDArray[np.float64]
    open_rad: float
    shift: NDArray[np.float64]
    front: NDArray[np.float64]

    def matrices(self, coefficients: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return its movements (N, 4, 4) in the rig's scene, relative to rest, for coefficients (N, 52)."""
        opened = rotation_about("x", np.asarray(coefficients[:, JAW_ROWS[0]], np.float64) * self.open_rad)
        moved = np.asarray(coefficients[:, list(JAW_ROWS[1:])], np.float64) @ self.shift
        turn = self.front.T @ opened @ self.front
        return affine_matrix(turn, self.pivot - turn @ self.pivot + moved @ self.front)

    def follows(self) -> NDArray[np.bool_]:
        """Return which of the coefficients of `JAW_ROWS` (4,) it follows."""
        return np.append(self.open_rad > 0, self.shift.any(axis=1))


class HeadFrame(NamedTuple):
    """eye_center: (3,) the point between the eyes in the rig's scene; height: of the head, in the rig's unit; front: (3, 3)
    rotation that turns the character to face +z."""

    eye_center: NDArray[np.float64]
    height: float
    front: NDArray[np.float64]


def measure_jaw(
    mesh: SkinnedMesh, joint: int, place: NDArray[np.float64], movement: NDArray[np.float64], head: HeadFrame
) -> JawMotion:
    """Decide how a jaw joint moves.

    Args:
        mesh: The character's mesh.
        joint: Number of the jaw joint.
        place: (3,) its place in the rig's scene, at rest.
        movement: (4, V, 3) how the morph targets move the vertices at each coefficient of `JAW_ROWS`, in the rig's scene.
        head: Where the head is.

    Returns:
        The motion. It agrees with the movement of the skin where morph targets lower the chin, so that the teeth stay behind the
        lips; else it is a person's. A coefficient whose targets move the vertices of the jaw itself does not move the joint.
    """
    rest, carried = mesh.rest_positions(), mesh.group_weights[:, JAW]
    center = np.average(rest, axis=0, weights=carried)
    is_ahead = (head.front @ (center - place))[2] > _MIN_AHEAD * head.height
    pivot = place if is_ahead else head.eye_center + head.height * (_HINGE @ head.front)
    open_rad, *lengths = [1.0 if _targets_move_jaw(mesh, moved) else 0.0 for moved in movement]
    open_rad = 0.0 if open_rad else _fit_opening(rest, pivot, movement[0], head.front)
    shift = head.height * _SHIFT
    for k, is_moved in enumerate(lengths):
        shift[k] = 0 if is_moved else _fit_shift(shift[k], movement[k + 1] @ head.front.T)
    return JawMotion(joint, pivot, open_rad, shift, head.front)


def _targets_move_jaw(mesh: SkinnedMesh, movement: NDArray[np.float64]) -> bool:
    """Whether targets that move the vertices by (V, 3) move what hangs on the jaw in any mesh."""
    length = np.linalg.norm(movement, axis=1)
    moved = length > max(_MIN_MOVED * length.max(initial=0), 1e-9)
    carried = mesh.group_weights[:, JAW]
    for part in mesh.parts:
        share = carried[part.start : part.stop]
        if share.sum() and share[moved[part.start : part.stop]].sum() > _MAX_OVERLAP * share.sum():
            return True
    return False


def _strongest(movement: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(V,) the vertices that move most, all False if none does."""
    length = np.linalg.norm(movement, axis=1)
    return np.asarray(length > max(_STRONGEST * length.max(initial=0), 1e-9))


def _fit_opening(
    rest: NDArray[np.float64], pivot: NDArray[np.float64], movement: NDArray[np.float64], front: NDArray[np.float64]
) -> float:
    """The turn about the axis through both hinges that lowers the chin as targets do; a person's if none does."""
    chosen = _strongest(movement)
    if not chosen.any():
        return _OPEN_RAD
    arm = (rest[chosen] - pivot) @ front.T
    direction = np.cross((1.0, 0.0, 0.0), arm)  # movement for each radian
    fitted = float((direction * (movement[chosen] @ front.T)).sum() / max((direction**2).sum(), 1e-12))
    return min(fitted, _MAX_OPEN_RAD) if fitted > 0 else _OPEN_RAD


def _fit_shift(usual: NDArray[np.float64], movement: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shift (3,) of the chin by targets in the usual direction; the usual one if no target moves it so."""
    chosen = _strongest(movement)
    length = np.linalg.norm(usual)
    along = float((movement[chosen] @ (usual / length)).mean()) if chosen.any() else 0.0
    return np.asarray(usual * min(along / length, 2.0) if along > 0 else usual)
