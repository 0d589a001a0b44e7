"""Load a rig: read a character's file and decide what drives which morph target and joint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.gltf.document import Glb, read_glb
from retarget.gltf.materials import load_materials
from retarget.gltf.node_tree import Document, subtree, world_matrices
from retarget.rig.arm_pose import lower_arms
from retarget.rig.avatars import find_avatar
from retarget.rig.joints import Joints, find_joints
from retarget.rig.measure import front_rotation, measure_head
from retarget.rig.morph_targets import MorphNode, find_morphs, moves_vertices, stored_weights
from retarget.rig.name_map import NameMap, check_name_map, read_name_map, target_columns
from retarget.rig.rig import Rig
from retarget.rig.skinned_mesh import BODY, HEAD, LEFT_EYE, NECK, RIGHT_EYE, SkinnedMesh, load_skinned_mesh
from retarget.rig.target_names import match_targets
from retarget.rig.vrm.avatar import (
    gaze_uses_expressions,
    humanoid_bones,
    load_vrm_expressions,
    max_eye_angles_rad,
    vrm_version,
)
from retarget.rig.vrm.expressions import VrmExpressions, covers_face

_GAZE_ROWS = [row for row, name in enumerate(ARKIT_NAMES) if name.startswith("eyeLook")]
_VRM0_FRONT = np.diag([-1.0, 1, -1])  # VRM 0.x faces -z: half a turn about y
_MIN_BODY_SHARE = 0.01  # part of the vertices from which on a character has a body


def load_rig(
    path: str | os.PathLike[str],
    names: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    head: str | None = None,
    neck: str | None = None,
    eyes: str | None = None,
) -> Rig:
    """Load a character.

    Args:
        path: A .glb, .gltf or .vrm file, or the name of one of our characters ("robot", "lion", "person", "monster").
        names: A map for targets with names of their own: a .json file or its content (see `retarget.rig.name_map`).
        head: Name or number of the head joint. None: search.
        neck: Name or number of the neck joint. None: search.
        eyes: Names or numbers of both eye joints, "LEFT,RIGHT". None: search.

    Returns:
        The rig, with its arms lowered.

    Raises:
        FileNotFoundError: There is no such file or character.
        ValueError: The file is damaged, or the character cannot show a face. The message is one line.
    """
    path = path if Path(path).suffix or Path(path).exists() else find_avatar(Path(path))
    glb = read_glb(path)
    name_map = check_name_map(names) if isinstance(names, Mapping) else {} if names is None else read_name_map(names)
    try:
        joints = find_joints(glb.document, head, neck, eyes)
        rig = _make_rig(glb, joints, name_map)
        load_materials(glb, textures=False)  # only to check them
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path}: damaged glTF, a property is missing or of the wrong type ({error!r:.100})") from None
    return rig


def load_rigs(
    paths: Sequence[str | os.PathLike[str]],
    maps: Sequence[str] = (),
    head: str | None = None,
    neck: str | None = None,
    eyes: str | None = None,
) -> list[Rig]:
    """Load several characters.

    Args:
        paths: Files or names of our characters.
        maps: Name maps: none, one for all, or one for each.
        head: Head joint of all of them; see `load_rig`.
        neck: Neck joint of all of them.
        eyes: Eye joints of all of them.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file cannot be used, or the number of maps does not match.
    """
    if len(maps) not in (0, 1, len(paths)):
        raise ValueError(f"{len(maps)} name maps for {len(paths)} characters (expected one for each, or one for all)")
    return [load_rig(path, maps[k % len(maps)] if maps else None, head, neck, eyes) for k, path in enumerate(paths)]


class _Drivers(NamedTuple):
    """What drives the targets. matrix: (52, M) coefficients to weights; expressions: what drives them besides."""

    matrix: NDArray[np.float32]
    expressions: VrmExpressions | None

    def follows(self) -> NDArray[np.bool_]:
        """(52, M) whether a target follows a coefficient, directly or by an expression."""
        direct: NDArray[np.bool_] = self.matrix != 0
        if self.expressions is None:
            return direct
        by_expression: NDArray[np.bool_] = (self.expressions.mapping.matrix > 0) @ (self.expressions.binds != 0)
        return direct | by_expression


def _make_rig(glb: Glb, joints: Joints, name_map: NameMap) -> Rig:
    document = glb.document
    lower_arms(document, humanoid_bones(document))
    morphs = find_morphs(document)
    mesh = load_skinned_mesh(glb, joints.head, joints.eyes, joints.neck)
    if joints.head is not None and joints.found_by[0] != "given" and not _has_skin(document, mesh, joints):
        joints = joints._replace(head=None, neck=None, found_by=("", "", joints.found_by[2]))
        mesh = load_skinned_mesh(glb, None, joints.eyes)
    moves, world = moves_vertices(mesh, morphs), world_matrices(document)
    by_expression = gaze_uses_expressions(document)
    expressions = load_vrm_expressions(document, morphs, joints.eyes is not None and not by_expression)
    drivers = _find_drivers(document, morphs, moves, expressions, name_map)
    follows = drivers.follows()
    names = [name for morph in morphs for name in morph.names]
    if not follows.any():
        raise ValueError(_no_face_message(names))
    drives = follows & moves
    targets_move_gaze = _targets_move_eyes(mesh, morphs, drives) or (by_expression and bool(drives[_GAZE_ROWS].any()))
    eyes_turn = bool(mesh.group_weights[:, [LEFT_EYE, RIGHT_EYE]].any()) and not targets_move_gaze
    has_effect: NDArray[np.bool_] = np.any(drives, axis=1)
    has_effect[_GAZE_ROWS] |= eyes_turn
    version = vrm_version(document)
    front = {"1.0": np.eye(3), "0.x": _VRM0_FRONT}[version] if version else front_rotation(mesh, morphs, drives)
    eyes = None if joints.eyes is None else world[list(joints.eyes), :3, 3]
    measure = measure_head(mesh, morphs, drives, eyes, front)
    body_share = (mesh.group_weights[:, [BODY, NECK]].sum(axis=1) > 0.5).mean()
    is_driven: NDArray[np.bool_] = np.any(follows, axis=0)
    return Rig(
        glb=glb,
        morphs=morphs,
        matrix=drivers.matrix,
        expressions=drivers.expressions,
        moves=moves,
        rest_weights=np.where(is_driven, 0, stored_weights(document, morphs)).astype(np.float32),
        joints=joints,
        eyes_turn=eyes_turn,
        eye_angles_rad=max_eye_angles_rad(document),
        eye_center=measure.eye_center,
        scale=measure.scale,
        front_rotation=front,
        has_body=joints.head is not None and bool(body_share > _MIN_BODY_SHARE),
        unmapped=tuple(name for name, has in zip(ARKIT_NAMES, has_effect, strict=True) if not has),
        undriven=tuple(dict.fromkeys(name for name, driven in zip(names, is_driven, strict=True) if not driven)),
        world=world,
        mesh=mesh,
    )


def _has_skin(document: Document, mesh: SkinnedMesh, joints: Joints) -> bool:
    """Whether any vertex follows the head joint. Some files have a skeleton beside a face that is not bound to it."""
    below_head = set(subtree(document, [joints.head] if joints.head is not None else []))
    groups = [HEAD, *(LEFT_EYE + side for side, eye in enumerate(joints.eyes or ()) if eye in below_head)]
    return bool(mesh.group_weights[:, groups].any())


def _find_drivers(
    document: Document,
    morphs: Sequence[MorphNode],
    moves: NDArray[np.bool_],
    expressions: VrmExpressions | None,
    name_map: NameMap,
) -> _Drivers:
    """Decide what drives each target.

    The name map takes precedence. For a VRM its expressions come next, unless only its targets have ARKit's names.
    """
    shares_of = match_targets([morph.names for morph in morphs], other_makers=expressions is None)
    matrix = np.zeros((len(ARKIT_NAMES), len(shares_of)), np.float32)
    for column, shares in enumerate(shares_of):
        for name, share in shares.items():
            matrix[ARKIT_NAMES.index(name), column] = share
    if expressions is not None and not expressions.is_perfect_sync and covers_face(np.any(matrix[:, moves], axis=1)):
        expressions = None
    if expressions is not None:
        matrix[(expressions.mapping.matrix > 0).any(axis=1)] = 0
        expressions = expressions.without_inputs([ARKIT_NAMES.index(name) for name in name_map])
    for name, targets in name_map.items():
        row = ARKIT_NAMES.index(name)
        matrix[row] = 0
        for target, factor in targets.items():
            matrix[row, target_columns(target, document, morphs)] = factor
    return _Drivers(matrix, expressions)


def _targets_move_eyes(mesh: SkinnedMesh, morphs: Sequence[MorphNode], drives: NDArray[np.bool_]) -> bool:
    """Whether eyeLook* drives targets that move vertices on the eye joints. If not, they move eyelids only."""
    return bool((drives[_GAZE_ROWS].any(axis=0) & moves_vertices(mesh, morphs, eyes_only=True)).any())


def _no_face_message(names: Sequence[str]) -> str:
    """What to say of a character of which no target is ARKit's."""
    expected = "expected ARKit names such as jawOpen, eyeBlinkLeft, mouthSmile_R"
    if not names:
        return f"it has no morph targets ({expected}; retarget rig makes them for a head mesh)"
    expected += ", or a name map: retarget inspect RIG --write-map names.json"
    return f"none of its {len(names)} morph targets ({', '.join(names[:3])} …) is one of ARKit's ({expected})"
