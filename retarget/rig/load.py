"""Load a rig: read a character's file and decide what drives which morph target and joint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.gltf.document import Glb, read_glb
from retarget.gltf.materials import load_materials
from retarget.gltf.node_tree import Document, world_matrices
from retarget.gltf.reading.damage import damage_as_value_error
from retarget.rig.avatars import character_path
from retarget.rig.drivers import Drivers, find_drivers
from retarget.rig.joints.arm_pose import lower_arms
from retarget.rig.joints.carried import carried_weights, find_head_by_face
from retarget.rig.joints.find import JointNames, Joints, find_joints
from retarget.rig.joints.jaw import JAW_ROWS, HeadFrame, JawMotion, measure_jaw
from retarget.rig.measure import Facing, HeadMeasure, find_facing, measure_head, moved_by_face, movement_at
from retarget.rig.morph_targets import MorphNode, find_morphs, moves_vertices, note_target_names, stored_weights
from retarget.rig.names.name_map import NO_MAP, RigMap, check_rig_map, node_name, read_rig_map
from retarget.rig.names.response import read_response
from retarget.rig.names.scene_choice import choose_scene
from retarget.rig.remarks import (
    EYES_ELSEWHERE,
    FACING_UNCLEAR,
    JAW_STAYS,
    MIRRORED,
    NO_JAW,
    UNEVEN_SCALE,
    WHOLE_HEAD,
    has_uneven_scale,
    list_remarks,
    no_face_message,
)
from retarget.rig.rig import Rig
from retarget.rig.skinned_mesh import (
    BODY,
    HEAD,
    JAW,
    LEFT_EYE,
    NECK,
    ON_HEAD,
    RIGHT_EYE,
    SkinnedMesh,
    check_size,
    load_skinned_mesh,
)
from retarget.rig.vrm.avatar import (
    gaze_uses_expressions,
    humanoid_bones,
    load_vrm_expressions,
    max_eye_angles_rad,
    vrm_version,
)

_GAZE_ROWS = [row for row, name in enumerate(ARKIT_NAMES) if name.startswith("eyeLook")]
_VRM0_FRONT = np.diag([-1.0, 1, -1])  # VRM 0.x faces -z: half a turn about y
_MIN_BODY_SHARE = 0.01  # part of the vertices from which on a character has a body
_MAX_JAW_SHARE = 0.6  # part of the head's vertices that may hang on a joint that was found as the jaw


def load_rig(
    path: str | os.PathLike[str],
    names: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    head: str | None = None,
    neck: str | None = None,
    eyes: str | None = None,
    jaw: str | None = None,
    strength: Mapping[str, float] | None = None,
) -> Rig:
    """Load a character.

    Args:
        path: A .glb, .gltf, .vrm or .zip file, or the name of one of our characters ("robot", "lion", "person", "monster").
        names: A map for targets with names of their own, and response curves: a .json file or its content (see
            `retarget.rig.names.name_map`).
        head: Name or number of the head joint. None: search.
        neck: Name or number of the neck joint. None: search.
        eyes: Names or numbers of both eye joints, "LEFT,RIGHT". None: search.
        jaw: Name or number of the jaw joint. None: search.
        strength: How strongly it answers: {"brows": 1.5} (see `retarget.rig.names.response`).

    Returns:
        The rig, with its arms lowered.

    Raises:
        FileNotFoundError: There is no such file or character.
        ValueError: The file is damaged, or the character cannot show a face. The message is one line.
        ImportError: Its meshes are compressed, and the decoder is not installed.
    """
    path = character_path(os.fspath(path))
    glb = read_glb(path)
    rig_map = NO_MAP if names is None else check_rig_map(names) if isinstance(names, Mapping) else read_rig_map(names)
    with damage_as_value_error(path):
        rig = _make_rig(glb, JointNames(head, neck, eyes, jaw), rig_map)
        load_materials(glb, textures=False)  # only to check them
    return replace(rig, response=read_response(strength or {}, rig_map.curves))


def load_rigs(
    paths: Sequence[str | os.PathLike[str]],
    maps: Sequence[str] = (),
    joints: JointNames | None = None,
    strength: Mapping[str, float] | None = None,
) -> list[Rig]:
    """Load several characters.

    Args:
        paths: Files or names of our characters.
        maps: Name maps: none, one for all, or one for each.
        joints: The joints of all of them that the user names.
        strength: How strongly all of them answer; see `load_rig`.

    Returns:
        A rig for each path. A path that appears twice with the same map gives the same rig twice.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file cannot be used, or the number of maps does not match.
    """
    if len(maps) not in (0, 1, len(paths)):
        raise ValueError(f"{len(maps)} name maps for {len(paths)} characters (expected one for each, or one for all)")
    given = joints or JointNames()
    wanted = [(os.fspath(path), maps[k % len(maps)] if maps else None) for k, path in enumerate(paths)]
    loaded = {key: load_rig(*key, *given, strength=strength) for key in dict.fromkeys(wanted)}
    return [loaded[key] for key in wanted]


def reload_rig(rig: Rig, glb: Glb) -> Rig:
    """Return a rig for a changed copy of its file, of the same size and with the same response. Target names must be standard ones."""
    loaded = _make_rig(glb, JointNames(), NO_MAP)
    return replace(loaded, scale=rig.scale, response=rig.response, stored_arms=rig.stored_arms)


class _Parts(NamedTuple):
    """What a character is made of. moves: (M,) whether a target moves any vertex; world: (K, 4, 4) node to scene."""

    joints: Joints
    mesh: SkinnedMesh
    morphs: tuple[MorphNode, ...]
    moves: NDArray[np.bool_]
    drivers: Drivers
    world: NDArray[np.float64]

    def drives(self) -> NDArray[np.bool_]:
        """(52, M) which coefficient drives which target that moves."""
        result: NDArray[np.bool_] = self.drivers.follows() & self.moves
        return result


def _make_rig(glb: Glb, given: JointNames, rig_map: RigMap) -> Rig:
    document = glb.document
    remarks = choose_scene(document)
    check_size(document)
    parts = _find_head(glb, given, _read_parts(glb, given, rig_map))
    version = vrm_version(document)
    facing = find_facing(parts.mesh, parts.morphs, parts.drives())
    if version and not (facing.is_measured and facing.rotation[1, 1] == 1):
        facing = Facing({"1.0": np.eye(3), "0.x": _VRM0_FRONT}[version])
    stored_arms = lower_arms(document, humanoid_bones(document), facing.rotation)
    if stored_arms:
        parts = parts._replace(mesh=_load_mesh(glb, parts.joints), world=world_matrices(document))
    if facing.is_unclear:
        remarks.append(FACING_UNCLEAR)
    if facing.is_mirrored:
        remarks.append(MIRRORED)
        parts = _exchange_sides(glb, parts, given, rig_map)
    mesh, joints, drives = parts.mesh, parts.joints, parts.drives()
    by_expression = gaze_uses_expressions(document)
    targets_move_gaze = _targets_move_eyes(parts) or (by_expression and bool(drives[_GAZE_ROWS].any()))
    eyes_turn = bool(mesh.group_weights[:, [LEFT_EYE, RIGHT_EYE]].any()) and not targets_move_gaze
    places = None if joints.eyes is None else parts.world[list(joints.eyes), :3, 3]
    measure = measure_head(mesh, parts.morphs, drives, places, facing.rotation)
    has_moved = places is not None and measure.eye_pivots is not None and not np.allclose(measure.eye_pivots, places)
    if eyes_turn and has_moved:
        remarks.append(EYES_ELSEWHERE)
    jaw = _make_jaw(parts, measure, facing, remarks)
    has_effect: NDArray[np.bool_] = np.any(drives, axis=1)
    has_effect[_GAZE_ROWS] |= eyes_turn
    if jaw is not None:
        has_effect[list(JAW_ROWS)] |= jaw.follows()
    names = [name for morph in parts.morphs for name in morph.names]
    follows = parts.drivers.follows()
    is_avatar = "head" in humanoid_bones(document)
    if not (follows.any() or is_avatar or jaw is not None or (eyes_turn and _has_unnamed_targets(document))):
        raise ValueError(no_face_message(names))
    note_target_names(document)
    body_share = (mesh.group_weights[:, [BODY, NECK]].sum(axis=1) > 0.5).mean()
    has_body = joints.head is not None and bool(body_share > _MIN_BODY_SHARE)
    turning = [*((joints.head, joints.neck) if has_body else ()), *((joints.eyes or ()) if eyes_turn else ()), jaw and jaw.joint]
    if has_uneven_scale(document, parts.world, turning):
        remarks.append(UNEVEN_SCALE)
    is_driven: NDArray[np.bool_] = np.any(follows, axis=0)
    return Rig(
        glb=glb,
        morphs=parts.morphs,
        matrix=parts.drivers.matrix,
        moves_back=parts.drivers.moves_back,
        expressions=parts.drivers.expressions,
        moves=parts.moves,
        rest_weights=np.where(is_driven, 0, stored_weights(document, parts.morphs)).astype(np.float32),
        joints=joints,
        eyes_turn=eyes_turn,
        eye_angles_rad=max_eye_angles_rad(document),
        eye_center=measure.eye_center,
        eye_pivots=measure.eye_pivots,
        jaw=jaw,
        scale=measure.scale,
        front_rotation=facing.rotation,
        has_body=has_body,
        unmapped=tuple(name for name, has in zip(ARKIT_NAMES, has_effect, strict=True) if not has),
        undriven=tuple(dict.fromkeys(name for name, driven in zip(names, is_driven, strict=True) if not driven)),
        remarks=(*list_remarks(glb, parts.morphs, parts.moves, parts.drivers), *remarks),
        world=parts.world,
        mesh=mesh,
        stored_arms=stored_arms,
    )


def _read_parts(glb: Glb, given: JointNames, rig_map: RigMap) -> _Parts:
    """The joints by their names, and what drives the targets."""
    document = glb.document
    morphs = find_morphs(document)
    joints = find_joints(document, given, carried_weights(glb))
    mesh = _load_mesh(glb, joints)
    if joints.head is not None and joints.found_by.head != "given" and not mesh.group_weights[:, ON_HEAD].any():
        joints = joints._replace(head=None, neck=None, found_by=joints.found_by._replace(head="", neck=""))
        mesh = _load_mesh(glb, joints)
    moves = moves_vertices(mesh, morphs)
    by_joints = joints.eyes is not None and not gaze_uses_expressions(document)
    expressions = load_vrm_expressions(document, morphs, moves, by_joints)
    drivers = find_drivers(document, morphs, moves, expressions, rig_map.targets)
    parts = _Parts(joints, mesh, morphs, moves, drivers, world_matrices(document))
    return _without_wrong_jaw(glb, parts)


def _find_head(glb: Glb, given: JointNames, parts: _Parts) -> _Parts:
    """Find a head whose name says nothing: the joint that the face hangs on."""
    drives = parts.drives()
    if parts.joints.head is not None or not drives.any():
        return parts
    face = carried_weights(glb, moved_by_face(parts.mesh, parts.morphs, drives))
    head = find_head_by_face(glb.document, face)
    if head is None:
        return parts
    joints = find_joints(glb.document, given._replace(head=str(head)), carried_weights(glb))
    joints = joints._replace(found_by=joints.found_by._replace(head="by the skin of the face"))
    return _without_wrong_jaw(glb, parts._replace(joints=joints, mesh=_load_mesh(glb, joints)))


def _without_wrong_jaw(glb: Glb, parts: _Parts) -> _Parts:
    """Forget a joint with the name of a jaw on which most of the head hangs, or nothing.

    Raises ValueError if the user names a joint on which nothing hangs, or the whole head.
    """
    joints, weights = parts.joints, parts.mesh.group_weights
    if joints.jaw is not None and joints.found_by.jaw == "given":
        if not weights[:, JAW].any() or not weights[:, HEAD].any():
            reason = WHOLE_HEAD if weights[:, JAW].any() else NO_JAW
            raise ValueError(reason.format(node=node_name(glb.document, joints.jaw)[:80]))
        return parts
    share = weights[:, JAW].sum() / max(weights[:, ON_HEAD].sum(), 1e-9)
    if joints.jaw is None or (0 < share < _MAX_JAW_SHARE):
        return parts
    joints = joints._replace(jaw=None, found_by=joints.found_by._replace(jaw=""))
    return parts._replace(joints=joints, mesh=_load_mesh(glb, joints))


def _exchange_sides(glb: Glb, parts: _Parts, given: JointNames, rig_map: RigMap) -> _Parts:
    """Exchange left and right of a mirrored character, but not what the user states."""
    kept = [ARKIT_NAMES.index(name) for name in rig_map.targets]
    parts = parts._replace(drivers=parts.drivers.mirrored(kept))
    if parts.joints.eyes is None or given.eyes is not None:
        return parts
    joints = parts.joints._replace(eyes=parts.joints.eyes[::-1])
    return parts._replace(joints=joints, mesh=_load_mesh(glb, joints))


def _load_mesh(glb: Glb, joints: Joints) -> SkinnedMesh:
    return load_skinned_mesh(glb, joints.head, joints.eyes, joints.neck, joints.jaw)


def _make_jaw(parts: _Parts, measure: HeadMeasure, facing: Facing, remarks: list[str]) -> JawMotion | None:
    """How the jaw joint moves; None without one, or if targets move all that it would."""
    if parts.joints.jaw is None:
        return None
    movement = movement_at(parts.mesh, parts.morphs, parts.drivers.weights_at(JAW_ROWS))
    head = HeadFrame(measure.eye_center, measure.height, facing.rotation)
    place = parts.world[parts.joints.jaw, :3, 3]
    jaw = measure_jaw(parts.mesh, parts.joints.jaw, place, movement, head)
    still = [ARKIT_NAMES[row] for row, follows in zip(JAW_ROWS, jaw.follows(), strict=True) if not follows]
    if still:
        remarks.append(JAW_STAYS.format(names=", ".join(still)))
    return jaw if jaw.follows().any() else None


def _targets_move_eyes(parts: _Parts) -> bool:
    """Whether eyeLook* drives targets that move vertices on the eye joints. If not, they move eyelids only."""
    by_gaze = parts.drives()[_GAZE_ROWS].any(axis=0)
    return bool((by_gaze & moves_vertices(parts.mesh, parts.morphs, eyes_only=True)).any())


def _has_unnamed_targets(document: Document) -> bool:
    """Whether names of targets are missing, for example because they were not one for each target."""
    drawn = [mesh for mesh in document.get("meshes", []) if mesh["primitives"][0].get("targets")]
    return any("targetNames" not in (mesh.get("extras") or {}) for mesh in drawn)
