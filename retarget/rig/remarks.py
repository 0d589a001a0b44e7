"""Say what is special about a character: what was corrected, replaced or cannot be shown. `retarget inspect` lists it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.document import Document, Glb
from retarget.gltf.materials import unread_textures
from retarget.gltf.node_tree import parent_indices
from retarget.rig.drivers import Drivers, replaced_targets
from retarget.rig.morph_targets import MorphNode
from retarget.rig.vrm.avatar import unseen_expressions, vrm_version

_MAX_LISTED = 6  # names in a remark
_MAX_SCALE_RATIO = 1.02  # between the axes of a joint's parent; at 1.3 a turned head is up to 3 cm elsewhere

MIRRORED = "it is mirrored, so that its left side is called right; left and right are exchanged"
FACING_UNCLEAR = "it is not clear which way it faces; it is taken to face +z"
EYES_ELSEWHERE = "its eye joints lie outside the eyes, which therefore turn about their middle"
JAW_STAYS = "its jaw joint does not follow {names}, because morph targets move the same vertices"
UNEVEN_SCALE = "a node above its head has different scales along x, y and z, so that turned heads differ a little in scenes and pictures"
NO_JAW = "jaw: no jaw hangs on the node {node!r} (expected the joint of the chin or the lower teeth)"
WHOLE_HEAD = "jaw: the whole head hangs on the node {node!r} (expected a joint below the head, of the chin or the lower teeth)"


def list_remarks(glb: Glb, morphs: Sequence[MorphNode], moves: NDArray[np.bool_], drivers: Drivers) -> list[str]:
    """List what the file itself gives reason to say.

    Args:
        glb: The glTF file.
        morphs: Its morph nodes.
        moves: (M,) whether a target moves any vertex.
        drivers: What drives the targets.
    """
    remarks = list(glb.remarks)
    unread = unread_textures(glb)
    if unread:
        remarks.append(f"textures that are not read, so that the base color is drawn: {_listed(unread)}")
    names = [name for morph in morphs for name in morph.names]
    replaced = replaced_targets(drivers.matrix, moves, names)
    used = [f"{empty} ({other} is used)" for empty, other in replaced.values() if other]
    if used:
        remarks.append(f"empty targets, which move nothing: {_listed(used)}")
    missing = [empty for empty, other in replaced.values() if not other]
    if missing:
        remarks.append(f"empty targets, for which there is no other: {_listed(missing)}")
    unseen = unseen_expressions(glb.document, morphs, moves)
    if unseen:
        remarks.append(f"expressions that change colors or textures, which is not shown: {_listed(unseen)}")
    if vrm_version(glb.document) and not drivers.follows().any():
        remarks.append("none of its expressions moves a vertex: only the head, and eyes and jaw on joints, move")
    return remarks


def has_uneven_scale(document: Document, world: NDArray[np.float64], joints: Sequence[int | None]) -> bool:
    """Return whether the scale above a joint differs between axes. The turn of such a joint cannot be stored as we draw it.

    Args:
        document: The glTF document.
        world: (K, 4, 4) node-to-scene matrices at rest.
        joints: The joints that turn; None for those that the character lacks.
    """
    parents = parent_indices(document)
    above = [parents[joint] for joint in joints if joint is not None and parents[joint] >= 0]
    sizes = np.linalg.svd(world[above, :3, :3], compute_uv=False)  # (joints, 3), the largest first
    return bool((sizes[:, 0] > _MAX_SCALE_RATIO * sizes[:, 2]).any())


def no_face_message(names: Sequence[str]) -> str:
    """Return what to say of a character of which no target is ARKit's."""
    expected = "expected ARKit names such as jawOpen, eyeBlinkLeft, mouthSmile_R"
    if not names:
        return f"it has no morph targets ({expected}; retarget rig makes them for a head mesh)"
    expected += ", or a name map: retarget inspect RIG --write-map names.json"
    return f"none of its {len(names)} morph targets ({', '.join(names[:3])} …) is one of ARKit's ({expected})"


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + rest
