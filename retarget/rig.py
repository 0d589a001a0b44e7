"""A character that can be driven: which of its morph targets and joints follow which of ARKit's 52."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES, canonical_name
from retarget.arms import lower_arms
from retarget.character import BODY, HEAD, LEFT_EYE, RIGHT_EYE, Character, load_character
from retarget.glb import Document, Glb, read_glb
from retarget.look import Look, load_looks
from retarget.nodes import below, roots_of, rotation_about, world_matrices

_EYE_TURN_RAD = (0.52, 0.44)  # 30 degrees sideways, 25 up and down at coefficient 1
_HEAD_HEIGHT_M = (0.12, 0.45)  # of a head in metres; a rig outside of it is in other units
_PEOPLE_HEAD_M = 0.24


@dataclass(frozen=True)
class Morph:
    """A node with morph targets: columns start..stop of the weights are its names, in its own order."""

    node: int
    start: int
    stop: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Rig:
    """One character, M morph targets in all (each morph node has its own, though two may bear one name).

    matrix: (52, M) float32, ARKit coefficients to target weights. moving: (M,) which targets move anything. resting:
    (M,) weights of targets that nothing drives. head: joint to turn, None if the whole character is the head. eyes:
    left and right joints, None if it has none. eyes_turn: the eye joints follow eyeLook*, because no morph target
    does. eye_centre: (3,) the middle between the eyes in the rig's scene, scale: what makes its head as large as
    people's, both at rest. faces: (3, 3) turns the way it looks to +z. stands: it has a body that stays upright while
    the head turns. unmapped: ARKit names without effect. undriven: the rig's own targets that nothing drives.
    """

    glb: Glb
    morphs: tuple[Morph, ...]
    matrix: NDArray[np.float32]
    moving: NDArray[np.bool_]
    resting: NDArray[np.float32]
    head: int | None
    eyes: tuple[int, int] | None
    eyes_turn: bool
    eye_centre: NDArray[np.float64]
    scale: float
    faces: NDArray[np.float64]
    stands: bool
    unmapped: tuple[str, ...]
    undriven: tuple[str, ...]
    world: NDArray[np.float64]
    character: Character

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
        on_head = 1 - self.character.share[:, BODY]
        keep: NDArray[np.bool_] = np.all((on_head > 0.5)[self.character.triangles], axis=1)
        for surface in self.character.surfaces:
            if on_head[surface.start : surface.stop].mean() > 0.5:
                first = self.character.triangles[:, 0]
                keep |= (first >= surface.start) & (first < surface.stop)
        return keep

    def weights(self, coefficients: NDArray[Any]) -> NDArray[np.float32]:
        """Morph weights (N, M) in [0, 1] for N coefficient vectors (N, 52): one product, whatever N."""
        given = np.asarray(coefficients, np.float32)
        if given.ndim != 2 or given.shape[1] != len(ARKIT_NAMES):
            raise ValueError(f"coefficients: expected shape (N, {len(ARKIT_NAMES)}), got {given.shape}")
        return np.clip(given @ self.matrix + self.resting, 0, 1)

    def eye_turns(self, coefficients: NDArray[Any]) -> NDArray[np.float64]:
        """Turns (N, 2, 3, 3) of the left and right eye in head axes (x to the subject's left, y up, z out of the
        face); all none if morph targets move the gaze."""
        given = np.asarray(coefficients, np.float64) * self.eyes_turn
        value = {name: given[:, column] for column, name in enumerate(ARKIT_NAMES)}
        # Right-handed about y is towards the subject's left; about x it is down.
        left = value["eyeLookOutLeft"] - value["eyeLookInLeft"], value["eyeLookDownLeft"] - value["eyeLookUpLeft"]
        right = value["eyeLookInRight"] - value["eyeLookOutRight"], value["eyeLookDownRight"] - value["eyeLookUpRight"]
        turns = [
            rotation_about(1, side * _EYE_TURN_RAD[0]) @ rotation_about(0, down * _EYE_TURN_RAD[1])
            for side, down in (left, right)
        ]
        return np.stack(turns, axis=1)

    def routes(self) -> list[tuple[str, str]]:
        """For each of the 52: its name, and what it moves ("Face.jawOpen, Teeth.jawOpen", "left eye joint", or
        "")."""
        nodes, rows = self.glb.document["nodes"], []
        for row, name in enumerate(ARKIT_NAMES):
            targets = [
                f"{nodes[morph.node].get('name', morph.node)}.{morph.names[column - morph.start]}"
                for morph in self.morphs
                for column in range(morph.start, morph.stop)
                if self.matrix[row, column] and self.moving[column]
            ]
            if self.eyes_turn and name.startswith("eyeLook"):
                targets.append("left eye joint" if name.endswith("Left") else "right eye joint")
            rows.append((name, ", ".join(targets)))
        return rows


def load_rig(path: str | os.PathLike[str]) -> Rig:
    """A character from .glb or .gltf, arms lowered. ValueError with one line if the file is damaged or cannot show a
    face."""
    glb = read_glb(path)
    try:
        rig = _make_rig(glb)
        load_looks(glb, textures=False)
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path}: damaged glTF, a property is missing or of the wrong type ({error!r:.100})") from None
    return rig


def _make_rig(glb: Glb) -> Rig:
    lower_arms(glb.document, _humanoid(glb.document))
    morphs = _find_morphs(glb.document)
    names = [name for morph in morphs for name in morph.names]
    canonical = [canonical_name(name) for name in names]
    if not any(canonical):
        raise ValueError(_what_is_missing(names))
    matrix = np.zeros((len(ARKIT_NAMES), len(names)), np.float32)
    for column, name in enumerate(canonical):
        if name:
            matrix[ARKIT_NAMES.index(name), column] = 1
    head, eyes = _find_head(glb.document), _find_eyes(glb.document)
    character = load_character(glb, head, eyes)
    moving = _moving(character, morphs)
    eyes_turn = eyes is not None and not any(name.startswith("eyeLook") for name in canonical if name)
    driven = {name for name, moves in zip(canonical, moving, strict=True) if name and moves}
    if eyes_turn:
        driven |= {name for name in ARKIT_NAMES if name.startswith("eyeLook")}
    face = np.eye(3) if "VRM" not in glb.document.get("extensions", {}) else np.diag([-1.0, 1.0, -1.0])
    eye_centre, scale = _measure(glb.document, character, eyes, morphs, canonical)
    return Rig(
        glb=glb,
        morphs=morphs,
        matrix=matrix,
        moving=moving,
        resting=np.where(matrix.any(axis=0), 0, _stored_weights(glb.document, morphs)).astype(np.float32),
        head=head,
        eyes=eyes,
        eyes_turn=eyes_turn,
        eye_centre=eye_centre,
        scale=scale,
        faces=face,
        stands=head is not None and bool((character.share[:, 0] > 0.5).mean() > 0.01),
        unmapped=tuple(name for name in ARKIT_NAMES if name not in driven),
        undriven=tuple(dict.fromkeys(n for n, c in zip(names, canonical, strict=True) if not c)),
        world=world_matrices(glb.document),
        character=character,
    )


def _what_is_missing(names: Sequence[str]) -> str:
    expected = "expected ARKit names such as jawOpen, eyeBlinkLeft, mouthSmile_R"
    if not names:
        return f"it has no morph targets ({expected})"
    if all(name.lower().startswith("viseme") for name in names):
        return f"it has visemes alone ({', '.join(names[:3])} …), which cannot show a face's expression ({expected})"
    return f"none of its {len(names)} morph targets ({', '.join(names[:3])} …) is one of ARKit's ({expected})"


def _find_morphs(document: Document) -> tuple[Morph, ...]:
    """Morph nodes of the default scene in tree order; targets without names get "target_0", "target_1" …"""
    morphs, start = [], 0
    for number in below(document, roots_of(document)):
        node = document["nodes"][number]
        if "mesh" not in node:
            continue
        mesh = document["meshes"][node["mesh"]]
        count = len(mesh["primitives"][0].get("targets", []))
        extras = mesh.get("extras") if isinstance(mesh.get("extras"), dict) else {}
        names = extras.get("targetNames") or [f"target_{k}" for k in range(count)]
        if count:
            morphs.append(Morph(number, start, start + count, tuple(str(name) for name in names)))
            start += count
    return tuple(morphs)


def _stored_weights(document: Document, morphs: Sequence[Morph]) -> NDArray[np.float32]:
    """(M,) the weights that the file itself gives, node before mesh."""
    rows = [np.zeros(0)]
    for morph in morphs:
        node = document["nodes"][morph.node]
        stored = node.get("weights", document["meshes"][node["mesh"]].get("weights"))
        count = morph.stop - morph.start
        rows.append(np.array(stored, np.float64) if stored and len(stored) == count else np.zeros(count))
    return np.concatenate(rows).astype(np.float32)


def _moving(character: Character, morphs: Sequence[Morph]) -> NDArray[np.bool_]:
    """(M,) which targets move a vertex by more than nothing."""
    deltas = {surface.node: surface.deltas for surface in character.surfaces}
    still = [np.zeros(morph.stop - morph.start, bool) for morph in morphs]
    return np.concatenate(
        [
            np.any(np.abs(deltas[morph.node]) > 1e-7, axis=(1, 2)) if morph.node in deltas else none
            for morph, none in zip(morphs, still, strict=True)
        ]
    )


def _humanoid(document: Document) -> dict[str, int]:
    """VRM's bones by name, 1.0 or 0.x; empty for other files."""
    extensions = document.get("extensions", {})
    bones = extensions.get("VRMC_vrm", {}).get("humanoid", {}).get("humanBones", {})
    old = extensions.get("VRM", {}).get("humanoid", {}).get("humanBones", [])
    found = {name: bone.get("node") for name, bone in bones.items()} | {b.get("bone"): b.get("node") for b in old}
    count = len(document["nodes"])
    return {name: node for name, node in found.items() if isinstance(node, int) and 0 <= node < count}


def _named(document: Document, pattern: str) -> int | None:
    """The first node, nearest to the root, whose bare name matches. Skinned meshes are no joints: turning them does
    nothing."""
    for number in below(document, roots_of(document)):
        node = document["nodes"][number]
        bare = re.sub(r"[^a-z0-9]", "", str(node.get("name", "")).lower())
        if "skin" not in node and re.fullmatch(pattern, bare):
            return number
    return None


def _find_head(document: Document) -> int | None:
    known = _humanoid(document).get("head")
    if known is not None:
        return known
    found = _named(document, r"head|(mixamorig\d*|bip\d*|ccbase|def|jbipc|armature)head|headbone|headjoint|headjnt")
    # A node that merely holds all there is, without anything to stay behind, turns like any other: as the head.
    return found


def _find_eyes(document: Document) -> tuple[int, int] | None:
    bones = _humanoid(document)
    pair = []
    for side, short in (("left", "l"), ("right", "r")):
        prefix = r"(mixamorig\d*|bip\d*|ccbase|def|jadj|jbip|faceeye|armature)?"
        pattern = rf"{prefix}({side}eye|eye{side}|{short}eye|eye{short}|{short}faceeye)(ball|bone|joint|jnt)?"
        found = bones.get(f"{side}Eye")
        pair.append(_named(document, pattern) if found is None else found)
    return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])


def _measure(
    document: Document,
    character: Character,
    eyes: tuple[int, int] | None,
    morphs: Sequence[Morph],
    canonical: Sequence[str | None],
) -> tuple[NDArray[np.float64], float]:
    """The middle between the eyes (3,), scene units at rest; and the factor that makes the head as large as
    people's."""
    rest = character.rest()
    surface_of = {surface.node: surface for surface in character.surfaces}
    known = [
        (
            sum(map(bool, canonical[morph.start : morph.stop])),
            surface_of[morph.node].stop - surface_of[morph.node].start,
        )
        if morph.node in surface_of
        else (-1, 0)
        for morph in morphs
    ]
    best = morphs[known.index(max(known))]
    surface = surface_of.get(best.node, character.surfaces[0])
    face = np.arange(surface.start, surface.stop)
    on_head = character.share[face][:, [HEAD, LEFT_EYE, RIGHT_EYE]].sum(axis=1) > 0.5
    points = rest[face[on_head]] if on_head.any() else rest[face]
    low, high = points.min(axis=0), points.max(axis=0)
    height = float(high[1] - low[1])
    scale = 1.0 if _HEAD_HEIGHT_M[0] <= height <= _HEAD_HEIGHT_M[1] or height == 0 else _PEOPLE_HEAD_M / height
    if eyes is not None:
        return world_matrices(document)[list(eyes), :3, 3].mean(axis=0), scale
    lids = [
        rest[surface.start : surface.stop][np.abs(surface.deltas[column]).sum(axis=1) > 0]
        for column, name in enumerate(canonical[best.start : best.stop])
        if name in ("eyeBlinkLeft", "eyeBlinkRight") and surface.deltas.shape[0]
    ]
    if len(lids) == 2 and all(len(lid) for lid in lids):
        return np.mean([lid.mean(axis=0) for lid in lids], axis=0), scale
    return np.array([(low[0] + high[0]) / 2, low[1] + 0.55 * height, low[2] + 0.8 * (high[2] - low[2])]), scale
