"""What our characters have in common: one face plate with lids, brows, mouth and eyes; what is around it is each one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from avatars.source.parts import eyes, plate
from avatars.source.parts.mouth import TONGUE_OPENS, Jaw, build_inside
from avatars.source.parts.plate import Face, Style, opening_level, shell_depth
from avatars.source.parts.primitives import Floats, Mesh, merge, mirrored, moved, tube
from avatars.source.parts.reshape import Reshape
from mfn.structures.head_model import HeadModel
from retarget.arkit import ARKIT_NAMES

_UNSEEN_M = 0.0005
_BROW_SIDES = 12


@dataclass(frozen=True)
class Character:
    """skin, trim, mouth: the parts of the face, driven by all 52. left_eye, right_eye: balls about their own centres, of
    which left_eye stands at `eye`. shell: all around the face. third_eye: a ball and its place (3,), if there is one more. Metres,
    about a quarter larger than people."""

    skin: Mesh
    trim: Mesh
    mouth: Mesh
    left_eye: Mesh
    right_eye: Mesh
    shell: Mesh
    eye: Floats
    shell_roughness: float
    third_eye: tuple[Mesh, Floats] | None = None


def build_character(model: HeadModel, style: Style, shell: Mesh, extra: Sequence[Mesh] = (), stiff: Sequence[Mesh] = ()) -> Character:
    """extra: forms on the face (whole, not halves) that follow it; stiff: such as do it without bending, as their first vertex does."""
    face = Face.of(model, style)
    place = face.neutral()
    moves = face.moves(place)
    moves["tongueOut"] = TONGUE_OPENS * moves["jawOpen"]
    ball = eyes.build_eye(style)
    return Character(
        skin=plate.build_plate(face, place, moves),
        trim=_trim(face, place, moves, extra, stiff),
        mouth=merge([plate.build_mouth(face, place, moves), build_inside(Jaw(face))]),
        left_eye=ball,
        right_eye=mirrored(ball),
        shell=shell,
        eye=eyes.centre(),
        shell_roughness=style.shell_roughness,
    )


def reshaped(character: Character, to: Reshape) -> Character:
    """The character with another build, its eyes at the height they had; the shell's parts that are no part of the head's
    form are better added to it afterwards."""
    level = np.array([0.0, character.eye[1] - to.eye()[1], 0.0])

    def whole(mesh: Mesh) -> Mesh:
        return moved(to.mesh(mesh), np.eye(3), level)

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
    """Lids, lashes, socket rings, brows, and what else follows the face."""
    skin = face.model.region_mask("face", "brows") & (opening_level(place[:, 0], place[:, 1]) < 1.1)

    def follow(part: Mesh, much: float, rigid: int = 1) -> Mesh:
        """rigid: so many vertices in turn move as one, as the first of them does."""
        at = part.vertices[::rigid].repeat(rigid, axis=0)
        gap = np.linalg.norm(at[:, None, :2] - place[None, skin, :2], axis=2)
        share = 1 / (gap**2 + 0.004**2) ** 2
        share /= share.sum(1, keepdims=True)
        deltas = {name: much * (share @ move[skin]) for name, move in moves.items()}
        seen = {name: delta for name, delta in deltas.items() if np.abs(delta).max() > _UNSEEN_M}
        return Mesh(part.vertices, part.triangles, part.colours, seen)

    socket = follow(eyes.build_socket(face.style, face.warp.depth), 0.6)
    left = [*eyes.build_lids(face.style), socket, _afloat(follow(_brow(face.style), 1.6, _BROW_SIDES), face)]
    whole = [follow(part, 1.0) for part in extra] + [follow(part, 1.0, len(part.vertices)) for part in stiff]
    return merge(left + [mirrored(part) for part in left] + whole)


def _afloat(part: Mesh, face: Face) -> Mesh:
    """The part with moves that leave it as far before the face's smooth form as it is at rest, or farther."""
    x, y, _ = part.vertices.T
    deltas = {}
    for name, delta in part.deltas.items():
        level = face.warp.depth(x + delta[:, 0], y + delta[:, 1]) - face.warp.depth(x, y)
        deltas[name] = np.c_[delta[:, :2], np.maximum(delta[:, 2], level)]
    return replace(part, deltas=deltas)


def _brow(style: Style) -> Mesh:
    """The left brow, a soft bar before the forehead."""
    share = np.linspace(0, 1, 15)
    x, y = style.brow_at[0] + 0.054 * share, style.brow_at[1] + 0.0125 * np.sin(np.pi * (0.12 + 0.72 * share))
    path = np.c_[x, y, shell_depth(x, y) + 0.0012]
    thick = np.sqrt(np.sin(np.pi * (0.001 + 0.998 * share))) * (1.1 - 0.35 * share)
    return tube(path, np.tile([0, 0.15, 1.0], (15, 1)), style.brow_size * thick[:, None] * [0.0052, 0.0080], _BROW_SIDES, style.brow)


def named_deltas(mesh: Mesh, names: tuple[str, ...] = ARKIT_NAMES) -> Floats:
    """(M, V, 3) in the order of `names`; shapes that a part does not know leave it still."""
    rows = [mesh.deltas.get(name, np.zeros_like(mesh.vertices)) for name in names]
    return np.array(rows).reshape(len(names), len(mesh.vertices), 3)
