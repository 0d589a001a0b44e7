"""What all characters have in common: one face plate with lids, brows, mouth and eyes. What surrounds it belongs to each character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from avatars.source.parts import brows, eyes, plate
from avatars.source.parts.mouth import TONGUE_JAW_SHARE, Jaw, build_mouth_interior
from avatars.source.parts.plate import Face, Style, opening_level
from avatars.source.parts.primitives import Floats, Mesh, merge_meshes, mirror_mesh, transform_mesh
from avatars.source.parts.reshape import Reshape
from mfn.structures.head_model import HeadModel
from retarget.arkit import ARKIT_NAMES

_UNSEEN_M = 0.0005


@dataclass(frozen=True)
class Character:
    """The parts of a character, in meters, about a quarter larger than people.

    Attributes:
        skin, trim, mouth: parts of the face, driven by all 52 shapes.
        left_eye, right_eye: balls about their own centers.
        shell: all that surrounds the face.
        eye: (3,) center of the left eye.
        shell_roughness: 0 polished to 1 matte.
        third_eye: a ball and its center (3,), if there is a third eye.
    """

    skin: Mesh
    trim: Mesh
    mouth: Mesh
    left_eye: Mesh
    right_eye: Mesh
    shell: Mesh
    eye: Floats
    shell_roughness: float
    third_eye: tuple[Mesh, Floats] | None = None


def build_character(
    model: HeadModel, style: Style, shell: Mesh, extra: Sequence[Mesh] = (), stiff: Sequence[Mesh] = ()
) -> Character:
    """Build a character.

    Args:
        model: our head model.
        style: colors and proportions of the face.
        shell: all that surrounds the face.
        extra: parts on the face that bend with it.
        stiff: parts on the face that follow it without bending, as their first vertex moves.
    """
    face = Face.from_head_model(model, style)
    place = face.neutral()
    moves = face.moves(place)
    moves["tongueOut"] = TONGUE_JAW_SHARE * moves["jawOpen"]
    ball = eyes.build_eyeball(style)
    return Character(
        skin=plate.build_plate(face, place, moves),
        trim=_trim(face, place, moves, extra, stiff),
        mouth=merge_meshes([plate.build_mouth(face, place, moves), build_mouth_interior(Jaw(face))]),
        left_eye=ball,
        right_eye=mirror_mesh(ball),
        shell=shell,
        eye=eyes.eye_center(),
        shell_roughness=style.shell_roughness,
    )


def reshape_character(character: Character, to: Reshape) -> Character:
    """Change the proportions of a character; its eyes keep their height.

    Parts of the shell that do not belong to the head's form should be added afterwards.
    """
    level = np.array([0.0, character.eye[1] - to.eye()[1], 0.0])

    def whole(mesh: Mesh) -> Mesh:
        return transform_mesh(to.mesh(mesh), np.eye(3), level)

    return replace(
        character,
        skin=whole(character.skin),
        trim=whole(character.trim),
        mouth=whole(character.mouth),
        shell=whole(character.shell),
        left_eye=to.ball(character.left_eye),
        right_eye=to.ball(character.right_eye),
        eye=to.eye() + level,
    )


def _trim(face: Face, place: Floats, moves: dict[str, Floats], extra: Sequence[Mesh], stiff: Sequence[Mesh]) -> Mesh:
    """Build lids, lashes, socket rings and brows, and let the other parts on the face follow it."""
    skin = face.model.region_mask("face", "brows") & (opening_level(place[:, 0], place[:, 1]) < 1.1)

    def follow(part: Mesh, much: float, rigid: int = 1) -> Mesh:
        """Let a part follow the skin. much: factor; rigid: number of consecutive vertices that move as one, like their first."""
        at = part.vertices[::rigid].repeat(rigid, axis=0)
        gap = np.linalg.norm(at[:, None, :2] - place[None, skin, :2], axis=2)
        share = 1 / (gap**2 + 0.004**2) ** 2
        share /= share.sum(1, keepdims=True)
        deltas = {name: much * (share @ move[skin]) for name, move in moves.items()}
        seen = {name: delta for name, delta in deltas.items() if np.abs(delta).max() > _UNSEEN_M}
        return Mesh(part.vertices, part.triangles, part.colors, seen)

    socket = follow(eyes.build_socket(face.style, face.warp.depth), 0.6)
    left = [
        *eyes.build_lids(face.style),
        socket,
        brows.move_brow(follow(brows.build_brow(face.style), 1.6, brows.SIDES), face),
    ]
    whole = [follow(part, 1.0) for part in extra] + [follow(part, 1.0, len(part.vertices)) for part in stiff]
    return merge_meshes(left + [mirror_mesh(part) for part in left] + whole)


def deltas_by_name(mesh: Mesh, names: tuple[str, ...] = ARKIT_NAMES) -> Floats:
    """Return the deltas (M, V, 3) in the order of `names`; 0 for shapes that the part does not have."""
    rows = [mesh.deltas.get(name, np.zeros_like(mesh.vertices)) for name in names]
    return np.array(rows).reshape(len(names), len(mesh.vertices), 3)
