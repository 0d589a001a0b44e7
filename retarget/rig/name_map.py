"""Rigs with names of their own: a JSON file that says which of their morph targets are ARKit's.

    {"jawOpen": "Mouth_Open", "mouthSmileLeft": {"SmileL": 1.0, "CheekL": 0.3}, "tongueOut": null}

A target is named alone (it then moves in every mesh that has it) or with its node ("Face.Mouth_Open"). What is not in
the file stays as it was found; null takes all effect away; keys that begin with "_" are remarks.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from retarget.arkit import ARKIT_NAMES, canonical_name
from retarget.geometry.node_tree import Document
from retarget.io.files import atomic_write, read_json_object
from retarget.rig.morph_targets import Morph, find_morphs
from retarget.rig.target_names import find_shapes, split_side
from retarget.rig.vrm import version_of

NameMap = Mapping[str, Mapping[str, float]]  # ARKit's name -> {the rig's: factor}
_STRONGEST = 10.0
_CLOSE = 0.75  # of 1, for a guess


def read_map(path: str | os.PathLike[str]) -> NameMap:
    """A map from a .json file, ARKit's names in their own spelling. One line if it is damaged or a name is unknown."""
    rows = read_json_object(path, 'a name map such as {"jawOpen": "Mouth_Open"}; retarget inspect RIG --write-map drafts one')
    try:
        return check_map({key: value for key, value in rows.items() if not key.startswith("_")})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def check_map(rows: Mapping[str, Any]) -> NameMap:
    """The map with ARKit's own names and a factor for each target. Values: a target, {target: factor}, or None."""
    result: dict[str, dict[str, float]] = {}
    for key, value in rows.items():
        name = canonical_name(key)
        if name is None:
            raise ValueError(f"{key[:60]!r} is none of ARKit's 52{close_to(key, ARKIT_NAMES)}")
        if name in result:
            raise ValueError(f"{name} is there twice")
        parts = {} if value is None else {value: 1.0} if isinstance(value, str) else value
        if not isinstance(parts, Mapping) or not all(_is_factor(factor) for factor in parts.values()):
            raise ValueError(f'{name}: expected a target\'s name, {{"name": factor up to {_STRONGEST:g}, ...}} or null')
        result[name] = {str(target): float(factor) for target, factor in parts.items()}
    return result


def _is_factor(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and abs(value) <= _STRONGEST


def columns_of(name: str, document: Document, morphs: Sequence[Morph]) -> list[int]:
    """Columns of the weights that a target's name means, with or without its node's. ValueError if there are none."""
    found = []
    for morph in morphs:
        node = node_name(document, morph.node)
        found += [morph.start + k for k, own in enumerate(morph.names) if name in (own, f"{node}.{own}")]
    if not found:
        known = [own for morph in morphs for own in morph.names]
        known += [f"{node_name(document, morph.node)}.{own}" for morph in morphs for own in morph.names]
        raise ValueError(f"the name map speaks of {name[:60]!r}, which is no morph target of it{close_to(name, known)}")
    return found


def node_name(document: Document, number: int) -> str:
    """A node's name, or its number if it has none."""
    return str(document["nodes"][number].get("name", number))


def close_to(wrong: str, known: Iterable[str]) -> str:
    """ " (close: a, b)" for the end of a message, or nothing."""
    lower = {name.lower(): name for name in known if name}
    close = get_close_matches(wrong.lower(), list(lower), 3, 0.6)
    return f" (close: {', '.join(lower[name][:60] for name in close)})" if close else ""


def write_draft(path: str | os.PathLike[str], document: Document) -> int:
    """A map of what the targets' names say or seem to say, to be edited; how many of the 52 have one."""
    morphs = find_morphs(document)
    is_vrm = version_of(document) is not None
    shown = find_shapes([morph.names for morph in morphs], others=not is_vrm)
    of: dict[str, Mapping[str, float]] = {}
    for own, shares in zip([name for morph in morphs for name in morph.names], shown, strict=True):
        of[own] = of.get(own) or shares
    rows: dict[str, Any] = {}
    for name in ARKIT_NAMES:
        parts = {own: shares[name] for own, shares in of.items() if name in shares}
        if not parts and not is_vrm:
            parts = {own: 1.0 for own, shares in of.items() if not shares and name in _guesses(own)}
        if parts or not is_vrm:  # what a VRM's targets do not say its expressions may
            rows[name] = next(iter(parts)) if list(parts.values()) == [1.0] else parts or None
    used = {own for value in rows.values() if value for own in ([value] if isinstance(value, str) else value)}
    known = [name for name, value in rows.items() if value]
    remarks = {
        "_how to": "a target's name, or {name: factor, ...}; null: no effect; leave a line out: as it was found",
        "_guessed": [own for own in of if own in used and canonical_name(own) is None],
        "_not used": [own for own in of if own not in used],
    }
    atomic_write(path, (json.dumps({**remarks, **rows}, indent=1, ensure_ascii=False) + "\n").encode())
    return len(known)


def _guesses(own: str) -> list[str]:
    """ARKit's names that a rig's own name is close to, on the same side of the face; both sides' if it has none."""
    key, side = split_side(re.sub(r"^.*[.:](?=..)", "", own))
    stem = get_close_matches(key, [split_side(name)[0] for name in ARKIT_NAMES], 1, _CLOSE)
    return [name for name in ARKIT_NAMES if split_side(name)[0] in stem and (side in ("", split_side(name)[1]))]
