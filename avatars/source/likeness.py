"""What lets a character look like a person: how an identity moves its vertices, and which vertices have the color of skin, hair and iris.

`build.py` stores the result beside each character, as NAME.likeness.npz. `mfn.animation.people.rig_likeness` reads it.

One smooth field moves all parts of a character, so that lips still meet, lids still clear the eyeballs and hair stays on the head. Each eye
moves as a whole. The field is that of the head model's identity components on the face plate, averaged over neighbors. Of its 64 components
the few are kept that matter for the visible face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatars.source.characters import lion, monster, person, robot
from avatars.source.parts.head import Character
from avatars.source.parts.plate import EYE_RADIUS_M, Face, Style, opening_level, skin_mask
from avatars.source.parts.primitives import Floats, Mesh, parse_color, smoothstep
from avatars.source.parts.reshape import Reshape
from mfn.structures.head_model import HeadModel

COMPONENTS = 10
FORMAT = 1
ROLES = ("none", "skin", "hair", "iris")
_GAIN = 1.9  # a character shows differences between people more strongly than they are
_STEP_SD = 2.0
_KERNEL_M, _POWER = 0.017, 4
_STRIDE = 2  # every second vertex of the plate is enough for a smooth field
_EYE_RIGID, _EYE_REACH = 1.36, 2.3  # in radii of an eye


class Look(NamedTuple):
    """A character's build and colors.

    hair: colors of the shell that follow a person's hair. mix: how far skin, hair, iris follow a person's, in lightness and in hue.
    """

    module: ModuleType
    build: Reshape
    hair: Sequence[str]
    mix: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


LOOKS = {
    "robot": Look(robot, Reshape(), (robot.SHELL, robot.ACCENT), ((0.65, 0.9), (0.5, 0.35), (1.0, 1.0))),
    "lion": Look(lion, Reshape(), (lion.MANE, lion.MANE_DEEP), ((0.6, 0.45), (0.9, 0.85), (1.0, 1.0))),
    "person": Look(person, person.BUILD, (person.HAIR, person.HAIR_DEEP), ((1.0, 1.0), (1.0, 1.0), (1.0, 1.0))),
    "monster": Look(monster, monster.BUILD, monster.FUR, ((0.8, 0.2), (0.6, 0.2), (1.0, 1.0))),
}


class _Field(NamedTuple):
    """Places (S, 3) and how each identity component moves them (64, S, 3), meters."""

    places: Floats
    moves: Floats

    def __call__(self, at: Floats) -> Floats:
        """Return the motions (64, V, 3) of places (V, 3): the average over near samples."""
        result = []
        for part in np.array_split(at, max(1, len(at) // 1500)):
            away = ((part[:, None] - self.places) ** 2).sum(2)
            weight = (away + _KERNEL_M**2) ** -float(_POWER)
            result.append(np.einsum("vs,ksi->kvi", weight / weight.sum(1, keepdims=True), self.moves, optimize=True))
        return np.concatenate(result, axis=1)


def likeness_arrays(name: str, character: Character, model: HeadModel, scale: float) -> dict[str, NDArray[Any]]:
    """Return the arrays of NAME.likeness.npz.

    Args:
        name: The character's name.
        character: The character.
        model: Our head model.
        scale: Factor from the character's parts to its file.
    """
    look = LOOKS[name]
    style: Style = look.module.STYLE
    field = _identity_field(model, style, look.build, character)
    centers = {"leftEye": character.eye, "rightEye": character.eye * (-1, 1, 1)}
    radii = dict.fromkeys(centers, EYE_RADIUS_M * look.build.eye_size)
    if character.third_eye is not None:
        centers["thirdEye"], radii["thirdEye"] = character.third_eye[1], EYE_RADIUS_M * monster.THIRD_SIZE
    shift = {eye: field(center[None]) for eye, center in centers.items()}  # (64, 1, 3)

    def moves(mesh: Mesh) -> Floats:
        result = field(mesh.vertices)
        for eye, center in centers.items():
            away = np.linalg.norm(mesh.vertices - center, axis=1) / radii[eye]
            near = smoothstep(away, _EYE_REACH, _EYE_RIGID)[:, None]
            result = (1 - near) * result + near * shift[eye]
        return result

    surfaces = {"0_0": character.skin, "0_1": character.trim, "0_2": character.mouth, "3_0": character.shell}
    whole = {key: moves(mesh) for key, mesh in surfaces.items()}
    seen = np.concatenate([whole["0_0"], whole["0_1"]], axis=1).reshape(model.identity_size, -1)
    projection = np.linalg.svd(seen, full_matrices=False)[0][:, :COMPONENTS].T
    explained = 1 - ((seen - projection.T @ (projection @ seen)) ** 2).sum() / (seen**2).sum()
    few = {key: np.einsum("ck,kvi->cvi", projection, value) * scale * _GAIN for key, value in whole.items()}
    step = np.max([np.abs(value).max((1, 2)) for value in few.values()], axis=0) / 127
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(FORMAT),
        "projection": projection.astype(np.float32),
        "explained": np.array(explained, np.float32),
        "step": step.astype(np.float32),
        "reference": np.array([parse_color(code) for code in (style.skin, look.hair[0], style.iris)], np.float32),
        "mix": np.array(look.mix, np.float32),
    }
    arrays |= {f"basis_{key}": np.rint(value / step[:, None, None]).astype(np.int8) for key, value in few.items()}
    arrays |= {f"node_{eye}": (projection @ value[:, 0] * scale * _GAIN).astype(np.float32) for eye, value in shift.items()}
    balls = {"1_0": character.left_eye, "2_0": character.right_eye}
    balls |= {} if character.third_eye is None else {"4_0": character.third_eye[0]}
    return arrays | {f"role_{key}": _roles(mesh, palette) for key, mesh, palette in _painted(surfaces | balls, style, look)}


def _identity_field(model: HeadModel, style: Style, build: Reshape, character: Character) -> _Field:
    """Return how the identity components move the character's face."""
    face = Face.from_head_model(model, style)
    neutral = face.neutral()
    kept = np.flatnonzero(skin_mask(model) & (opening_level(neutral[:, 0], neutral[:, 1]) < 1.02))[::_STRIDE]
    moves = []
    for component in model.identity_basis.astype(np.float64) * _STEP_SD:
        own = (face.to_character(face.rest + component) - face.to_character(face.rest - component))[kept] / 2
        moves.append((build(neutral[kept] + own) - build(neutral[kept] - own)) / (2 * _STEP_SD))
    level = np.array([0.0, character.eye[1] - build.eye()[1], 0.0])
    places = build(neutral[kept])
    away = places - build.eye() * (0, 1, 1)
    growth = np.einsum("ksi,si->k", np.array(moves), away) / (away**2).sum()
    return _Field(places + level, np.array(moves) - growth[:, None, None] * away)  # a character keeps its size


def _painted(surfaces: Mapping[str, Mesh], style: Style, look: Look) -> list[tuple[str, Mesh, dict[str, str]]]:
    """Return for each surface the colors that have a role: code -> role. Other colors that the surface has keep none."""
    skin = dict.fromkeys((style.skin, style.pale, style.blush, style.lips, style.lid, style.lid_edge), "skin")
    if look.module is not robot:
        skin[style.socket] = "skin"
    hair = dict.fromkeys(look.hair, "hair")
    palettes = {
        "0_0": skin | (hair if look.module is person else {}),
        "0_1": skin | {style.brow: "hair"},
        "0_2": {},
        "3_0": hair | ({} if look.module is robot else {style.skin: "skin", style.lid: "skin"}),
    }
    if look.module is lion:
        palettes["3_0"] |= dict.fromkeys((lion.EAR, lion.EAR_INSIDE), "skin")
    iris = {style.iris: "iris", style.iris_edge: "iris"}
    return [(key, mesh, palettes.get(key, iris)) for key, mesh in surfaces.items()]


def _roles(mesh: Mesh, palette: Mapping[str, str]) -> NDArray[np.uint8]:
    """Return the role (V,) of each vertex by its color. Mixtures, which the skin of the plate has, belong to the nearest color."""
    if not palette:
        return np.zeros(len(mesh.vertices), np.uint8)
    codes = np.array([parse_color(code) for code in palette])
    away = np.linalg.norm(mesh.colors[:, None] - codes, axis=2)
    role = np.array([ROLES.index(kind) for kind in palette.values()], np.uint8)[away.argmin(1)]
    blended = len(np.unique(mesh.colors, axis=0)) > 40  # a surface with soft transitions
    return np.asarray(np.where((away.min(1) < 0.01) | blended, role, 0), np.uint8)
