"""A rig: a character that coefficients can drive. `retarget.rig.load` reads one from a file.

Letters: N people, M morph targets, T triangles.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES, eye_angles
from retarget.geometry.rotations import rotation_about
from retarget.gltf.document import Document, Glb
from retarget.gltf.materials import Material, load_materials
from retarget.rig.joints.find import Joints
from retarget.rig.joints.jaw import JawMotion
from retarget.rig.morph_targets import MorphNode
from retarget.rig.names.response import Response
from retarget.rig.skinned_mesh import BODY, NECK, SkinnedMesh
from retarget.rig.vrm.expressions import VrmExpressions


@dataclass(frozen=True)
class Rig:
    """One character: which of its morph targets and joints follow which of ARKit's 52 coefficients.

    Attributes:
        glb: The file it was read from, with its arms lowered.
        morphs: Its morph nodes. Together they have M targets; two nodes may have targets of the same name.
        matrix: (52, M) float32, coefficients to target weights, after the response.
        moves_back: (52, M) whether a negative factor of a name map moves a target to the other side, below 0.
        expressions: A VRM's expressions, which drive targets as well; None for other files.
        moves: (M,) whether a target moves any vertex.
        rest_weights: (M,) float32, weights of the targets that nothing drives, as the file stores them; 0 for the others.
        joints: Head, neck and eye joints.
        eyes_turn: The eye joints follow eyeLook*. True if vertices hang on them that no morph target moves.
        eye_angles_rad: (4,) how far an eye turns in, out, down and up at coefficient 1.
        eye_center: (3,) the point between the two eyes in the rig's scene, at rest.
        eye_pivots: (2, 3) the points about which the left and right eye turn; None without eye joints.
        jaw: How its jaw joint moves; None without one.
        scale: Factor that makes its head as large as a person's.
        front_rotation: (3, 3) rotation that turns the character to face +z.
        has_body: It has a body that stays upright while the head turns.
        unmapped: ARKit names that have no effect.
        undriven: Names of its targets that nothing drives.
        remarks: What was corrected or left out on reading, one line each.
        world: (K, 4, 4) node-to-scene matrices of its K nodes, at rest.
        mesh: Its vertices and triangles.
        response: How strongly it answers to the coefficients.
        stored_arms: The arm joints as the file stores them, node -> its content, where the arms were lowered.
    """

    glb: Glb
    morphs: tuple[MorphNode, ...]
    matrix: NDArray[np.float32]
    moves_back: NDArray[np.bool_]
    expressions: VrmExpressions | None
    moves: NDArray[np.bool_]
    rest_weights: NDArray[np.float32]
    joints: Joints
    eyes_turn: bool
    eye_angles_rad: NDArray[np.float64]
    eye_center: NDArray[np.float64]
    eye_pivots: NDArray[np.float64] | None
    jaw: JawMotion | None
    scale: float
    front_rotation: NDArray[np.float64]
    has_body: bool
    unmapped: tuple[str, ...]
    undriven: tuple[str, ...]
    remarks: tuple[str, ...]
    world: NDArray[np.float64]
    mesh: SkinnedMesh
    response: Response = Response()  # noqa: RUF009  # immutable
    stored_arms: Mapping[int, Document] = field(default_factory=dict)

    def __repr__(self) -> str:
        mapped = len(ARKIT_NAMES) - len(self.unmapped)
        return f"Rig({self.name!r}, {mapped} of {len(ARKIT_NAMES)} coefficients have an effect, {len(self.moves)} targets)"

    @property
    def head(self) -> int | None:
        """The head joint. None if the whole character turns with the head."""
        return self.joints.head

    @property
    def neck(self) -> int | None:
        """The neck joint, which makes a part of the head's turn. None if there is none."""
        return self.joints.neck

    @property
    def eyes(self) -> tuple[int, int] | None:
        """The subject's left and right eye joint."""
        return self.joints.eyes

    @property
    def name(self) -> str:
        """The file's name without folder and suffix."""
        return os.path.splitext(os.path.basename(self.glb.path))[0]

    @cached_property
    def materials(self) -> list[Material]:
        """Its materials, and at the end one for triangles without a material. Textures are read at first access."""
        return load_materials(self.glb)

    @cached_property
    def head_triangles(self) -> NDArray[np.bool_]:
        """(T,) the triangles of head and neck.

        These are all triangles of meshes that mostly follow the head (a face mesh includes its neck), and of other
        meshes the triangles that follow the head.
        """
        on_head = 1 - self.mesh.group_weights[:, [BODY, NECK]].sum(axis=1)
        keep: NDArray[np.bool_] = np.all((on_head > 0.5)[self.mesh.triangles], axis=1)
        for part in self.mesh.parts:
            if on_head[part.start : part.stop].mean() > 0.5:
                first = self.mesh.triangles[:, 0]
                keep |= (first >= part.start) & (first < part.stop)
        return keep

    @cached_property
    def _weight_limits(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(M,) the smallest and the largest weight of each target.

        These are 0 and 1; -1 and 1 where a map moves a target back; farther from 0 where a response curve asks for it. A weight
        that nothing drives stays as it is stored.
        """
        highest = self.response.highest()[:, None]
        largest = np.where(self.matrix > 0, highest, 1).max(axis=0, initial=1)
        if self.expressions is not None:
            largest = np.maximum(largest, self.expressions.largest_weights(self.response.highest()))
        smallest = -np.where(self.moves_back, highest, 0).max(axis=0, initial=0)
        return np.minimum(smallest, self.rest_weights, dtype=np.float32), np.maximum(largest, self.rest_weights, dtype=np.float32)

    def jaw_movement(self, coefficients: NDArray[Any]) -> NDArray[np.float64]:
        """Compute how the jaw joint moves (N, 4, 4) in the rig's scene, relative to rest, for coefficients (N, 52)."""
        if self.jaw is None:
            return np.tile(np.eye(4), (len(coefficients), 1, 1))
        return self.jaw.matrices(self.response.apply(np.asarray(coefficients, np.float64)))

    def weights(self, coefficients: NDArray[Any]) -> NDArray[np.float32]:
        """Compute morph target weights.

        Args:
            coefficients: (N, 52) in ARKIT_NAMES order.

        Returns:
            (N, M) float32 in [0, 1]; down to -1 where a map has a negative factor; farther from 0 where a response curve goes
            above 1. Targets that nothing drives have their stored weights. One matrix product for all N (two for a VRM with
            expressions).

        Raises:
            ValueError: The coefficients have another shape.
        """
        given = np.asarray(coefficients, np.float32)
        if given.ndim != 2 or given.shape[1] != len(ARKIT_NAMES):
            raise ValueError(f"coefficients: expected shape (N, {len(ARKIT_NAMES)}), got {given.shape}")
        given = self.response.apply(given)
        weights: NDArray[np.float32] = given @ self.matrix + self.rest_weights
        if self.expressions is not None:
            weights = weights + self.expressions.weights(given, self.response.highest() if self.response.curves else None)
        return weights.clip(*self._weight_limits)

    def eye_rotations(self, coefficients: NDArray[Any]) -> NDArray[np.float64]:
        """Compute how the eyes turn.

        Args:
            coefficients: (N, 52) in ARKIT_NAMES order.

        Returns:
            (N, 2, 3, 3) rotations of the left and right eye in head axes (x to the subject's left, y up, z out of the
            face). The identity if morph targets move the gaze.
        """
        given = self.response.apply(np.asarray(coefficients, np.float64)) * self.eyes_turn
        to_left, down = np.moveaxis(eye_angles(given, self.eye_angles_rad), -1, 0)
        return np.asarray(rotation_about("y", to_left) @ rotation_about("x", down), np.float64)
