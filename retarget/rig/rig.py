"""A character that can be driven: which of its morph targets and joints follow which of ARKit's 52."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.geometry.node_tree import below, rotation_about, world_matrices
from retarget.gltf.document import Glb, read_glb
from retarget.render.materials import Look, load_looks
from retarget.rig.arm_pose import lower_arms
from retarget.rig.joints import Joints, find_joints
from retarget.rig.measure import facing, measure
from retarget.rig.morph_targets import Morph, find_morphs, moving, stored_weights
from retarget.rig.name_map import NameMap, check_map, columns_of, read_map
from retarget.rig.skinned_mesh import BODY, HEAD, LEFT_EYE, NECK, RIGHT_EYE, Character, load_character
from retarget.rig.target_names import find_shapes
from retarget.rig.vrm import Clips, eye_reach, has_face, humanoid, load_clips, looks_by_expression, version_of

_LOOKS = [row for row, name in enumerate(ARKIT_NAMES) if name.startswith("eyeLook")]


@dataclass(frozen=True)
class Rig:
    """One character, M morph targets in all (each morph node has its own, though two may bear one name).

    matrix: (52, M) float32, ARKit coefficients to target weights. clips: a VRM's expressions, which follow the
    coefficients too and have targets of their own; None if there are none. moving: (M,) which targets move anything.
    resting: (M,) weights of targets that nothing drives. joints: head (None if the whole character is the head), neck
    and eyes. eyes_turn: the eye joints follow eyeLook*: something hangs on them that no morph target moves. eye_reach:
    (4,) their turn in, out, down and up at coefficient 1, radians. eye_centre: (3,) the middle between the eyes in the
    rig's scene, scale: what makes its head as large as people's, both at rest. faces: (3, 3) turns the way it looks to
    +z. stands: it has a body that stays upright while the head turns. unmapped: ARKit names without effect. undriven:
    the rig's own targets that nothing drives.
    """

    glb: Glb
    morphs: tuple[Morph, ...]
    matrix: NDArray[np.float32]
    clips: Clips | None
    moving: NDArray[np.bool_]
    resting: NDArray[np.float32]
    joints: Joints
    eyes_turn: bool
    eye_reach: NDArray[np.float64]
    eye_centre: NDArray[np.float64]
    scale: float
    faces: NDArray[np.float64]
    stands: bool
    unmapped: tuple[str, ...]
    undriven: tuple[str, ...]
    world: NDArray[np.float64]
    character: Character

    @property
    def head(self) -> int | None:
        """The joint to turn."""
        return self.joints.head

    @property
    def neck(self) -> int | None:
        """The joint below the head that turns with it."""
        return self.joints.neck

    @property
    def eyes(self) -> tuple[int, int] | None:
        """Left and right eye joint."""
        return self.joints.eyes

    @property
    def name(self) -> str:
        """The file's name without folder and ending."""
        return os.path.splitext(os.path.basename(self.glb.path))[0]

    @cached_property
    def looks(self) -> list[Look]:
        """Materials to draw with, the last for surfaces without one; textures are read when first asked for."""
        return load_looks(self.glb)

    @cached_property
    def head_triangles(self) -> NDArray[np.bool_]:
        """(T,) which triangles are head and neck: surfaces that mostly follow the head (a face mesh brings its neck
        along), and of the others what follows it entirely."""
        on_head = 1 - self.character.share[:, [BODY, NECK]].sum(axis=1)
        keep: NDArray[np.bool_] = np.all((on_head > 0.5)[self.character.triangles], axis=1)
        for surface in self.character.surfaces:
            if on_head[surface.start : surface.stop].mean() > 0.5:
                first = self.character.triangles[:, 0]
                keep |= (first >= surface.start) & (first < surface.stop)
        return keep

    def weights(self, coefficients: NDArray[Any]) -> NDArray[np.float32]:
        """Morph weights (N, M) in [0, 1] for N coefficient vectors (N, 52): one product (VRM's expressions: two),
        whatever N."""
        given = np.asarray(coefficients, np.float32)
        if given.ndim != 2 or given.shape[1] != len(ARKIT_NAMES):
            raise ValueError(f"coefficients: expected shape (N, {len(ARKIT_NAMES)}), got {given.shape}")
        weights = given @ self.matrix + self.resting
        return np.clip(weights if self.clips is None else weights + self.clips.weights(given), 0, 1)

    def eye_turns(self, coefficients: NDArray[Any]) -> NDArray[np.float64]:
        """Turns (N, 2, 3, 3) of the left and right eye in head axes (x to the subject's left, y up, z out of the
        face); all none if morph targets move the gaze."""
        given = np.asarray(coefficients, np.float64) * self.eyes_turn
        value = {name: given[:, column] for column, name in enumerate(ARKIT_NAMES)}
        inwards, outwards, down, up = self.eye_reach
        turns = []
        for side, sign in (("Left", 1), ("Right", -1)):
            # Right-handed about y is towards the subject's left; about x it is down.
            y = sign * (value[f"eyeLookOut{side}"] * outwards - value[f"eyeLookIn{side}"] * inwards)
            x = value[f"eyeLookDown{side}"] * down - value[f"eyeLookUp{side}"] * up
            turns.append(rotation_about(1, y) @ rotation_about(0, x))
        return np.stack(turns, axis=1)


def load_rig(
    path: str | os.PathLike[str],
    names: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    head: str | None = None,
    neck: str | None = None,
    eyes: str | None = None,
) -> Rig:
    """A character from .glb, .gltf or .vrm, arms lowered. ValueError with one line if the file is damaged or cannot
    show a face.

    names: a map for targets with names of their own, or its .json file (see `name_map`). head, neck: the node's name
    or number, eyes: "LEFT,RIGHT"; what is not given is found.
    """
    glb = read_glb(path)
    name_map = check_map(names) if isinstance(names, Mapping) else {} if names is None else read_map(names)
    try:
        joints = find_joints(glb.document, head, neck, eyes)
        rig = _make_rig(glb, joints, name_map)
        load_looks(glb, textures=False)
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
    """Several characters. maps: a name map for each, or one for all, or none; the joints given are those of all."""
    if len(maps) not in (0, 1, len(paths)):
        raise ValueError(f"{len(maps)} name maps for {len(paths)} characters (expected one for each, or one for all)")
    return [load_rig(path, maps[k % len(maps)] if maps else None, head, neck, eyes) for k, path in enumerate(paths)]


def _make_rig(glb: Glb, joints: Joints, name_map: NameMap) -> Rig:
    document = glb.document
    lower_arms(document, humanoid(document))
    morphs = find_morphs(document)
    character = load_character(glb, joints.head, joints.eyes, joints.neck)
    if joints.head is not None and joints.how[0] != "given" and not _has_skin(document, character, joints):
        joints = joints._replace(head=None, neck=None, how=("", "", joints.how[2]))
        character = load_character(glb, None, joints.eyes)
    moves, world = moving(character, morphs), world_matrices(document)
    by_expression = looks_by_expression(document)
    clips = load_clips(document, morphs, joints.eyes is not None and not by_expression)
    matrix, clips = _routes(document, morphs, moves, clips, name_map)
    follows = matrix != 0  # (52, M)
    if clips is not None:
        follows |= (clips.shown.matrix > 0) @ (clips.binds != 0)
    names = [name for morph in morphs for name in morph.names]
    if not follows.any():
        raise ValueError(_what_is_missing(names))
    reach = follows & moves
    gaze_is_shown = _moves_eyes(character, morphs, reach) or (by_expression and bool(reach[_LOOKS].any()))
    eyes_turn = bool(character.share[:, [LEFT_EYE, RIGHT_EYE]].any()) and not gaze_is_shown
    driven = reach.any(axis=1)
    driven[_LOOKS] |= eyes_turn
    version = version_of(document)
    faces = facing(character, morphs, reach) if version is None else np.diag([1.0, 1, 1] if version == "1.0" else [-1.0, 1, -1])
    eyes = None if joints.eyes is None else world[list(joints.eyes), :3, 3]
    centre, scale = measure(character, morphs, reach, eyes, faces)
    return Rig(
        glb=glb,
        morphs=morphs,
        matrix=matrix,
        clips=clips,
        moving=moves,
        resting=np.where(follows.any(axis=0), 0, stored_weights(document, morphs)).astype(np.float32),
        joints=joints,
        eyes_turn=eyes_turn,
        eye_reach=eye_reach(document),
        eye_centre=centre,
        scale=scale,
        faces=faces,
        stands=joints.head is not None and bool((character.share[:, [BODY, NECK]].sum(axis=1) > 0.5).mean() > 0.01),
        unmapped=tuple(name for name, has in zip(ARKIT_NAMES, driven, strict=True) if not has),
        undriven=tuple(dict.fromkeys(n for n, has in zip(names, follows.any(axis=0), strict=True) if not has)),
        world=world,
        character=character,
    )


def _has_skin(document: dict[str, Any], character: Character, joints: Joints) -> bool:
    """Whether a vertex follows the head: skeletons are also exported beside a face that is not bound to them."""
    on_head = set(below(document, [joints.head] if joints.head is not None else []))
    groups = [HEAD, *(LEFT_EYE + side for side, eye in enumerate(joints.eyes or ()) if eye in on_head)]
    return bool(character.share[:, groups].any())


def _routes(
    document: dict[str, Any],
    morphs: Sequence[Morph],
    moves: NDArray[np.bool_],
    clips: Clips | None,
    name_map: NameMap,
) -> tuple[NDArray[np.float32], Clips | None]:
    """Which target follows which coefficient directly (52, M), and the expressions that are left beside these.

    The map comes first. Of a VRM its expressions come next, unless only its targets bear ARKit's names.
    """
    shown = find_shapes([morph.names for morph in morphs], others=clips is None)
    matrix = np.zeros((len(ARKIT_NAMES), len(shown)), np.float32)
    for column, shares in enumerate(shown):
        for name, share in shares.items():
            matrix[ARKIT_NAMES.index(name), column] = share
    if clips is not None and not clips.is_perfect and has_face(np.any(matrix[:, moves], axis=1)):
        clips = None
    if clips is not None:
        matrix[(clips.shown.matrix > 0).any(axis=1)] = 0
        clips = clips.without([ARKIT_NAMES.index(name) for name in name_map])
    for name, parts in name_map.items():
        row = ARKIT_NAMES.index(name)
        matrix[row] = 0
        for target, factor in parts.items():
            matrix[row, columns_of(target, document, morphs)] = factor
    return matrix, clips


def _moves_eyes(character: Character, morphs: Sequence[Morph], reach: NDArray[np.bool_]) -> bool:
    """Whether eyeLook* moves by morph targets what hangs on the eye joints: else only lids do, and the joints turn."""
    return bool((reach[_LOOKS].any(axis=0) & moving(character, morphs, eyes_only=True)).any())


def _what_is_missing(names: Sequence[str]) -> str:
    expected = "expected ARKit names such as jawOpen, eyeBlinkLeft, mouthSmile_R"
    if not names:
        return f"it has no morph targets ({expected}; retarget rig makes them for a head mesh)"
    expected += ", or a name map: retarget inspect RIG --write-map names.json"
    return f"none of its {len(names)} morph targets ({', '.join(names[:3])} …) is one of ARKit's ({expected})"
