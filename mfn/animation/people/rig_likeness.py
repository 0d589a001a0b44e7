"""Give a character a person's head form and colors. What is possible stands beside its file, as NAME.likeness.npz.

`avatars/source/likeness.py` makes these files for our characters. Letters: I identity coefficients, C components, V vertices.
"""

from __future__ import annotations

import zlib
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mfn.animation.people.cielab import lab_to_linear, linear_to_lab
from mfn.weights import weights_path
from retarget.geometry.mesh import vertex_normals
from retarget.gltf.accessors import overwrite_accessor, read_accessor
from retarget.gltf.document import Glb
from retarget.rig.load import reload_rig
from retarget.rig.rig import Rig

Floats = NDArray[np.floating[Any]]

FORMAT = 1
SUFFIX = ".likeness.npz"
ROLES = ("skin", "hair", "iris")
"""What a color belongs to. Vertices of role k + 1 have a color of ROLES[k]; role 0 keeps its own."""
_IDENTITY_GAIN = 4.4  # networks predict identities near their mean; `experiments.rigs.likeness_gain` measures it on training photos
_MAX_SD = 2.0  # of a component; further from the mean a character loses its own form
_LIGHTNESS_KEPT, _HUE_KEPT = 0.8, 0.55  # of the difference between a part and the main color of its role
_LIGHTNESS_RANGE = (5.0, 96.0)


class Colors(NamedTuple):
    """A person's colors, each (3,) linear light in [0, 1]; None where the picture does not show it."""

    skin: Floats | None = None
    hair: Floats | None = None
    iris: Floats | None = None


@dataclass(frozen=True)
class RigLikeness:
    """How a character follows a person's looks.

    Attributes:
        projection: (C, I) identity coefficients to the character's components.
        basis: (mesh, primitive) -> (C, V, 3) meters for each component.
        nodes: Name of a node -> (C, 3) meters.
        roles: (mesh, primitive) -> (V,) whose color a vertex has, see `ROLES`.
        reference: (3, 3) linear light, the character's own color for each role.
        mix: (3, 2) how far the color of each role follows the person's, in lightness and in hue.
    """

    projection: Floats
    basis: dict[tuple[int, int], Floats]
    nodes: dict[str, Floats]
    roles: dict[tuple[int, int], NDArray[np.uint8]]
    reference: Floats
    mix: Floats


@lru_cache(maxsize=1)
def average_identity() -> Floats:
    """Return the identity (I,) of the average person in photos, in standard deviations of the head model.

    It is not 0: people in photos differ from those who were scanned for the head model. What they have in common must not
    change all characters alike.
    """
    with np.load(weights_path("people.npz"), allow_pickle=False) as file:
        return np.asarray(file["mean"], np.float32)


def load_likeness(rig: Rig) -> RigLikeness | None:
    """Read what stands beside a character's file. None: it cannot look like a person.

    Raises:
        ValueError: The file is damaged, or belongs to another version of the character.
    """
    path = Path(rig.glb.path).with_suffix(SUFFIX)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        if int(data["format"]) != FORMAT:
            raise ValueError(f"format {int(data['format'])}, this version reads {FORMAT}")
        likeness = _from_arrays(data)
        _check(likeness, rig.glb)
    except (KeyError, ValueError, IndexError, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not the likeness file of {rig.name} ({error}); remove it, or build both again") from None
    return likeness


def personalize(rig: Rig, likeness: RigLikeness, identity: Floats, colors: Colors, amount: float) -> Rig:
    """Return a character that looks like a person.

    Args:
        rig: The character.
        likeness: What it can follow.
        identity: (I,) the person's coefficients in standard deviations.
        colors: The person's colors.
        amount: 0 (the character itself) to 1.

    An average person leaves its form as it is. Its size, its shapes and the size of its eyeballs stay, so that a performance
    moves it as before.
    """
    weight = likeness.projection @ (identity - average_identity()) * _IDENTITY_GAIN
    weight = amount * np.clip(weight, -_MAX_SD, _MAX_SD)
    glb = Glb(deepcopy(rig.glb.document), bytearray(rig.glb.binary), list(rig.glb.chunks), rig.glb.path)
    for (mesh, number), basis in likeness.basis.items():
        primitive = glb.document["meshes"][mesh]["primitives"][number]
        attributes = primitive["attributes"]
        positions = read_accessor(glb, attributes["POSITION"]) + np.tensordot(weight, basis, 1).astype(np.float32)
        triangles = read_accessor(glb, primitive["indices"]).reshape(-1, 3).astype(np.int64)
        overwrite_accessor(glb, attributes["POSITION"], positions)
        overwrite_accessor(glb, attributes["NORMAL"], vertex_normals(positions, triangles))
    for (mesh, number), role in likeness.roles.items():
        place = glb.document["meshes"][mesh]["primitives"][number]["attributes"]["COLOR_0"]
        painted = recolor(read_accessor(glb, place), role, likeness, colors, amount)
        overwrite_accessor(glb, place, np.round(painted * 255).astype(np.uint8))
    for node in glb.document["nodes"]:
        if node.get("name") in likeness.nodes:
            moved = np.array(node.get("translation", (0, 0, 0))) + weight @ likeness.nodes[node["name"]]
            node["translation"] = [float(v) for v in moved]
    return reload_rig(rig, glb)


def recolor(own: Floats, role: NDArray[np.uint8], likeness: RigLikeness, colors: Colors, amount: float) -> Floats:
    """Return vertex colors (V, 3) that follow a person's. Lighter and darker places of one role stay lighter and darker.

    Args:
        own: (V, 3) the character's colors, linear light.
        role: (V,) whose color a vertex has.
        likeness: The character's colors for each role.
        colors: The person's colors.
        amount: 0 to 1.
    """
    result = linear_to_lab(np.asarray(own, np.float64))
    for number, target in enumerate(colors):
        if target is not None:
            chosen = role == number + 1
            shade = (result[chosen] - linear_to_lab(likeness.reference[number])) * (_LIGHTNESS_KEPT, _HUE_KEPT, _HUE_KEPT)
            wanted = linear_to_lab(target) + shade
            wanted[:, 0] = np.clip(wanted[:, 0], *_LIGHTNESS_RANGE)
            share = amount * likeness.mix[number, [0, 1, 1]]
            result[chosen] += share * (wanted - result[chosen])
    untouched = role == 0
    return np.where(untouched[:, None], own, lab_to_linear(result))


def _from_arrays(data: dict[str, NDArray[Any]]) -> RigLikeness:
    def keyed(start: str) -> dict[tuple[int, int], NDArray[Any]]:
        names = [name.removeprefix(start) for name in data if name.startswith(start)]
        return {(int(name.split("_")[0]), int(name.split("_")[1])): data[start + name] for name in names}

    step = data["step"].astype(np.float32)[:, None, None]
    return RigLikeness(
        projection=data["projection"].astype(np.float32),
        basis={key: value.astype(np.float32) * step for key, value in keyed("basis_").items()},
        nodes={name.removeprefix("node_"): value.astype(np.float32) for name, value in data.items() if name.startswith("node_")},
        roles=keyed("role_"),
        reference=data["reference"].astype(np.float32),
        mix=data["mix"].astype(np.float32),
    )


def _check(likeness: RigLikeness, glb: Glb) -> None:
    """Raise ValueError unless every array has as many vertices as its surface."""
    for (mesh, number), value in [*likeness.basis.items(), *likeness.roles.items()]:
        attributes = glb.document["meshes"][mesh]["primitives"][number]["attributes"]
        count = glb.document["accessors"][attributes["POSITION"]]["count"]
        given = value.shape[-2] if value.ndim == 3 else len(value)
        if given != count:
            raise ValueError(f"mesh {mesh}, part {number}: expected {count} vertices, got {given}")
