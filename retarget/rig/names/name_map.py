"""Maps of rigs: a JSON file that states which morph targets of a character are ARKit's, and how strongly it answers.

    {"jawOpen": "Mouth_Open", "mouthSmileLeft": {"SmileL": 1.0, "CheekL": 0.3}, "tongueOut": null,
     "curves": {"brows": 1.5, "eyeBlink": [[0, 0], [0.8, 1]]}}

A target is given by its name, which then means this target of every mesh that has it, or with its node
("Face.Mouth_Open"). A name that is not in the file keeps the target that was found for it. null removes all effect.
Keys that begin with "_" are comments. "curves" holds factors and response curves, see `retarget.rig.names.response`.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from retarget.arkit import ARKIT_NAMES, canonical_name
from retarget.gltf.document import Glb
from retarget.gltf.node_tree import Document
from retarget.gltf.reading.damage import damage_as_value_error
from retarget.io.files import atomic_write, read_json_object
from retarget.io.suggest import did_you_mean
from retarget.rig.morph_targets import MorphNode, find_morphs, moves_vertices
from retarget.rig.names.response import read_response
from retarget.rig.names.scene_choice import choose_scene
from retarget.rig.names.target_names import NEEDS_SIDE, match_targets, split_side
from retarget.rig.skinned_mesh import load_skinned_mesh
from retarget.rig.vrm.avatar import vrm_version

NameMap = Mapping[str, Mapping[str, float]]
"""ARKit's name -> {name of a target: factor}."""

_CURVES_KEY = "curves"
_MAX_FACTOR = 10.0
_MIN_SIMILARITY = 0.75  # 0 to 1, of names that are guessed to mean the same


class RigMap(NamedTuple):
    """What a user says of a rig. targets: which targets its shapes move; curves: name -> factor or points of a curve."""

    targets: NameMap
    curves: Mapping[str, Any]


NO_MAP = RigMap({}, {})


def read_rig_map(path: str | os.PathLike[str]) -> RigMap:
    """Read the map of a rig from a .json file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, or a name or curve in it is wrong. The message is one line.
    """
    rows = read_json_object(
        path, 'a name map such as {"jawOpen": "Mouth_Open"}; retarget inspect RIG --write-map drafts one'
    )
    try:
        return check_rig_map(rows)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def check_rig_map(rows: Mapping[str, Any]) -> RigMap:
    """Check the content of a map. See `check_name_map` and `retarget.rig.names.response`."""
    curves = rows.get(_CURVES_KEY, {})
    if not isinstance(curves, Mapping):
        raise ValueError(f'{_CURVES_KEY}: expected {{"brows": 1.5, "eyeBlink": [[0, 0], [0.8, 1]]}}')
    read_response({}, curves)  # only to check it
    return RigMap(check_name_map({k: v for k, v in rows.items() if k != _CURVES_KEY and not k.startswith("_")}), curves)


def check_name_map(rows: Mapping[str, Any]) -> NameMap:
    """Check a name map and complete it.

    Args:
        rows: ARKit's name in any spelling -> the name of a target, {name: factor}, or None for no effect.

    Returns:
        The map with ARKit's own spelling and a factor for each target.

    Raises:
        ValueError: A key is none of ARKit's names or is there twice, or a value has another form.
    """
    result: dict[str, dict[str, float]] = {}
    for key, value in rows.items():
        name = canonical_name(key)
        if name is None:
            raise ValueError(f"{key[:60]!r} is none of ARKit's 52 names{did_you_mean(key, ARKIT_NAMES)}")
        if name in result:
            raise ValueError(f"{name} is there twice")
        targets = {} if value is None else {value: 1.0} if isinstance(value, str) else value
        if not isinstance(targets, Mapping) or not all(_is_factor(factor) for factor in targets.values()):
            raise ValueError(f'{name}: expected a target\'s name, {{"name": factor up to {_MAX_FACTOR:g}, ...}} or null')
        result[name] = {str(target): float(factor) for target, factor in targets.items()}
    return result


def _is_factor(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and abs(value) <= _MAX_FACTOR


def target_columns(name: str, document: Document, morphs: Sequence[MorphNode]) -> list[int]:
    """Find the columns of the weights that a target's name means.

    Args:
        name: Name of a target, alone or as NODE.TARGET.
        document: The glTF document.
        morphs: Its morph nodes.

    Raises:
        ValueError: No target has this name.
    """
    found = []
    for morph in morphs:
        node = node_name(document, morph.node)
        found += [morph.start + k for k, own in enumerate(morph.names) if name in (own, f"{node}.{own}")]
    if not found:
        known = [own for morph in morphs for own in morph.names]
        known += [f"{node_name(document, morph.node)}.{own}" for morph in morphs for own in morph.names]
        raise ValueError(f"the name map contains {name[:60]!r}, which is no morph target of it{did_you_mean(name, known)}")
    return found


def node_name(document: Document, number: int) -> str:
    """Return a node's name, or its number if it has no name."""
    return str(document["nodes"][number].get("name", number))


def write_name_map_draft(path: str | os.PathLike[str], glb: Glb) -> int:
    """Write a name map of all targets whose names are known or similar to known ones, for the user to edit.

    Args:
        path: The .json file to write.
        glb: The file of the character.

    Returns:
        For how many of the 52 a target is given.

    Raises:
        ValueError: The character's file is damaged. The message is one line.
    """
    with damage_as_value_error(glb.path):
        comments, rows = _draft(glb)
    atomic_write(path, (json.dumps({**comments, **rows}, indent=1, ensure_ascii=False) + "\n").encode())
    return sum(1 for value in rows.values() if value)


class _Draft(NamedTuple):
    """The lines of a draft. comments: what the user should know; rows: ARKit's name -> its target."""

    comments: dict[str, Any]
    rows: dict[str, Any]


def _draft(glb: Glb) -> _Draft:
    document = glb.document
    choose_scene(document)
    morphs = find_morphs(document)
    is_vrm = vrm_version(document) is not None
    moves = moves_vertices(load_skinned_mesh(glb, None, None), morphs)
    matched = match_targets([morph.names for morph in morphs], not is_vrm, moves)
    shares_of: dict[str, Mapping[str, float]] = {}
    for target, shares, is_moving in zip([name for morph in morphs for name in morph.names], matched, moves, strict=True):
        shares_of[target] = shares_of.get(target) or (shares if is_moving else {})
    rows: dict[str, Any] = {}
    for name in ARKIT_NAMES:
        targets = {target: shares[name] for target, shares in shares_of.items() if name in shares}
        if not targets and not is_vrm:
            targets = {target: 1.0 for target, shares in shares_of.items() if not shares and name in _guess(target)}
        if targets or not is_vrm:  # the expressions of a VRM can add what its target names do not contain
            rows[name] = next(iter(targets)) if list(targets.values()) == [1.0] else targets or None
    used = {target for value in rows.values() if value for target in ([value] if isinstance(value, str) else value)}
    comments = {
        "_how to": "a target's name, or {name: factor, ...}; null: no effect; a missing line: as it was found",
        "_guessed": [target for target in shares_of if target in used and canonical_name(target) is None],
        "_not used": [target for target in shares_of if target not in used],
    }
    return _Draft(comments, rows)


def _guess(target: str) -> list[str]:
    """ARKit's names that a target's name is similar to, on the same side; those of both sides if it states none.

    A name such as "Jaw" without a side is similar to none.
    """
    stem, side = split_side(re.sub(r"^.*[.:](?=..)", "", target))
    similar = get_close_matches(stem, [split_side(name).stem for name in ARKIT_NAMES], 1, _MIN_SIMILARITY)
    if not side and set(similar) & NEEDS_SIDE:
        return []
    return [
        name for name in ARKIT_NAMES if split_side(name).stem in similar and side in ("", split_side(name).side)
    ]
