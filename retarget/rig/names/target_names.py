"""Match the names of morph targets with ARKit's 52.

The following readings are tried in this order. A later one counts only for shapes that no earlier one found with a target
that moves something:

1. ARKit's own name in any usual spelling (`browDown_L`),
2. the same after a prefix (`A25_Jaw_Open`, `head_lod0_mesh__eye_blink_L`),
3. a name with its side elsewhere (`Eye_L_Look_Up`, `eyeBlinkL`), or another maker's name (`Brow_Drop_L`),
4. one target for both sides (`eyesClosed`),
5. a vowel (`viseme_aa`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ANTAGONISTS, ARKIT_NAMES, LONGEST_NAME, canonical_name
from retarget.rig.names.other_makers import (
    ARKIT_STEM,
    EYE_TURNS,
    OPEN_WITH_CLOSED_LIPS,
    PART_WORDS,
    SIDEWAYS,
    VOWELS,
    WHOLE_NAMES,
)

Shares = dict[str, float]
"""ARKit's name -> how much of that shape a target shows at weight 1."""
Side = Literal["left", "right", ""]

_SEPARATORS = r"[._:| /-]+"
_SIDE_WORD = re.compile(r"(l|r|left|right)(?![a-z0-9])", re.IGNORECASE)
_MAX_WORDS = 5  # of one of ARKit's names with words apart: Mouth_Lower_Down_Left has four


class SplitName(NamedTuple):
    """A name in lower case without separators and side, and its side."""

    stem: str
    side: Side


def split_side(name: str) -> SplitName:
    """Split a target's name into its stem and its side of the face ("left", "right", or "" if it states none)."""
    name = re.sub(r"(^|[._ -])([LR]|Left|Right)[._ -](.+)", r"\1\3_\2", name[-LONGEST_NAME:])  # Eye_L_Look_Up
    name = re.sub(r"^(Eye)(Left|Right)([A-Z][a-z].*)", r"\1\3_\2", name)  # EyeLeftBlink
    match = re.fullmatch(r"(.*?)[._ -]?(Left|Right|left|right|LEFT|RIGHT|[._ -][LRlr]|(?<=[a-zDU])[LR])", name)
    stem, word = (match[1], match[2].strip("._ -").lower()) if match else (name, "")
    if not match and (first := re.fullmatch(r"(Left|Right|left|right)[._ -]?(.*)", name)):
        stem, word = first[2], first[1].lower()
    side: Side = "left" if word in ("l", "left") else "right" if word in ("r", "right") else ""
    return SplitName("".join(c for c in stem.lower() if c.isalnum()), side)


_BY_STEM: dict[str, list[str]] = {}  # "jawopen" -> [jawOpen]; "eyeblink" -> [eyeBlinkLeft, eyeBlinkRight]
for _name in ARKIT_NAMES:
    _BY_STEM.setdefault(split_side(_name).stem, []).append(_name)

NEEDS_SIDE = frozenset(split_side(first).stem for first, second in ANTAGONISTS if split_side(first).stem == split_side(second).stem)
"""Stems that mean a shape only with a side: `jawLeft` and `jawRight` undo each other, and "jaw" alone is only a part of the face."""


def match_targets(
    meshes: Sequence[Sequence[str]], other_makers: bool = True, moves: NDArray[np.bool_] | None = None
) -> list[Shares]:
    """Match the targets of a character with ARKit's shapes.

    Args:
        meshes: For each mesh the names of its targets.
        other_makers: Also try readings 3 to 5. False for a VRM, whose expressions are more reliable than its target names.
        moves: For each target, mesh after mesh, whether it moves any vertex. None: all do.

    Returns:
        For each target, mesh after mesh, what it shows of ARKit's shapes. {} for targets without a match.

    A mesh such as that of the teeth is matched by itself: its targets may have names of another maker than those of the face.
    If a target is empty, a later reading may supply its shape. Exception: in a mesh that is not the face, such as eyelashes, it
    stays empty if another mesh shows the shape.
    """
    targets = _list_targets(meshes, moves)
    readings: list[Callable[[str], Shares]] = [_arkit_name, _after_prefix]
    if other_makers:
        readings += [_one_side, _both_sides, _vowel]
    found = _Found(_face_mesh(targets), set(), set(), set())
    rows: list[Shares] = [{} for _ in targets]
    for reading in readings:
        new: list[tuple[_Target, Shares]] = []
        for target, row in zip(targets, rows, strict=True):
            if row:
                continue
            open_shapes = {own: share for own, share in reading(target.name).items() if not found.has(target, own, reading is _vowel)}
            if any(share > 0 for share in open_shapes.values()):
                row.update(open_shapes)
                new.append((target, row))
        for target, row in new:
            found.add(target, row)
    _open_with_closed_lips(targets, rows)
    return rows


class _Target(NamedTuple):
    """mesh: number; part: word of `PART_WORDS` in its prefix or ""; moves: whether it moves any vertex."""

    mesh: int
    part: str
    name: str
    moves: bool


class _Found(NamedTuple):
    """Shapes that earlier readings found. face: number of the mesh of the face; moving: with a target that moves, anywhere;
    here: the same by mesh and part; named: by mesh and part, also with empty targets."""

    face: int
    moving: set[str]
    here: set[tuple[int, str, str]]
    named: set[tuple[int, str, str]]

    def has(self, target: _Target, shape: str, by_vowel: bool) -> bool:
        """Return whether a shape needs no further target in a mesh."""
        key = target.mesh, target.part, shape
        if key in self.here:
            return True
        if key in self.named:
            return shape in self.moving and target.mesh != self.face
        return by_vowel and shape in self.moving and shape != "jawOpen"

    def add(self, target: _Target, shares: Shares) -> None:
        """Take in what a target shows."""
        for shape in shares:
            self.named.add((target.mesh, target.part, shape))
            if target.moves:
                self.here.add((target.mesh, target.part, shape))
                self.moving.add(shape)


def _list_targets(meshes: Sequence[Sequence[str]], moves: NDArray[np.bool_] | None) -> list[_Target]:
    targets: list[_Target] = []
    for mesh, names in enumerate(meshes):
        for name in names:
            words = re.split(_SEPARATORS, name[-LONGEST_NAME:].lower())
            part = next((word for word in words[:-1] if word in PART_WORDS), "")
            targets.append(_Target(mesh, part, _bare_name(name), moves is None or bool(moves[len(targets)])))
    return targets


def _bare_name(name: str) -> str:
    """A name without what Daz adds: `facs_bs_EyeBlinkLeft_div2`, `eCTRLMouthSmile`. Daz's correctives have no name."""
    bare = re.sub(r"_div\d+$", "", name[-LONGEST_NAME:])
    if re.search(r"(^|[._])facs_cbs_", bare):
        return ""
    return re.sub(r"(^|__)(e?CTRL|PHM|VSM)(?=[A-Zv])", r"\1", bare)


def _face_mesh(targets: Sequence[_Target]) -> int:
    """The mesh in which most of ARKit's own names move; -1 if there is none."""
    count = Counter(t.mesh for t in targets if t.moves and (_arkit_name(t.name) or _after_prefix(t.name)))
    return count.most_common(1)[0][0] if count else -1


def _open_with_closed_lips(targets: Sequence[_Target], rows: Sequence[Shares]) -> None:
    """Let jawOpen give way to mouthClose in meshes whose mouthClose lowers the jaw itself."""
    closed = {t.mesh for t, row in zip(targets, rows, strict=True) if row and _stem(t.name).endswith(OPEN_WITH_CLOSED_LIPS)}
    for target, row in zip(targets, rows, strict=True):
        if target.mesh in closed and row.get("jawOpen", 0) > 0:
            row["mouthClose"] = -row["jawOpen"]


def _stem(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _arkit_name(name: str) -> Shares:
    known = canonical_name(name)
    return {known: 1.0} if known else {}


def _after_prefix(name: str) -> Shares:
    for ending in _endings(name):
        if known := canonical_name(ending.text):
            return {known: 1.0}
    return {}


def _one_side(name: str) -> Shares:
    for ending in _all_endings(name):
        stem, side = split_side(ending.text)
        if side and stem in EYE_TURNS:
            return {f"eyeLook{'Out' if side == EYE_TURNS[stem] else 'In'}{side.capitalize()}": 1.0}
        if side and stem in SIDEWAYS:
            return {f"{SIDEWAYS[stem]}{side.capitalize()}": 1.0}
        shapes = _shapes_of(stem, ending.is_whole_name)
        if len(shapes) == 1:
            return {shapes[0]: 1.0}
        if shapes and side:
            return {shapes[side == "right"]: 1.0}
    return {}


def _both_sides(name: str) -> Shares:
    for ending in _all_endings(name):
        stem, side = split_side(ending.text)
        if not side and stem not in NEEDS_SIDE and (shapes := _shapes_of(stem, ending.is_whole_name)):
            return dict.fromkeys(shapes, 1 / len(shapes))
    return {}


def _vowel(name: str) -> Shares:
    keys = [_stem(ending.text) for ending in _all_endings(name)]
    return next((dict(VOWELS[key]) for key in keys if key in VOWELS), {})


def _shapes_of(stem: str, is_whole_name: bool) -> list[str]:
    """ARKit's names, left before right, for a stem of ARKit's or of another maker."""
    own = ARKIT_STEM.get(stem) or (WHOLE_NAMES.get(stem, "").lower() if is_whole_name else "")
    return _BY_STEM.get(stem) or _BY_STEM.get(own, [])


class _Ending(NamedTuple):
    """The end of a target's name. is_whole_name: it follows the name of an owner (`Face.jawOpen`), not a prefix."""

    is_whole_name: bool
    text: str


def _all_endings(name: str) -> list[_Ending]:
    return [_Ending(True, name), *_endings(name)]


def _endings(name: str) -> Iterator[_Ending]:
    """What follows each separator of a name, the longest ending first.

    Blender's number of a copy (`.001`) is removed first. A name that continues after one of ARKit's names
    (`jawOpen_mouthFunnel`) is a corrective for both at once; it is none of them and has no endings.
    """
    name = name[-LONGEST_NAME:]
    if (bare := re.sub(r"\.\d{3}$", "", name)) != name:
        yield _Ending(True, bare)
    starts = [0]  # of words
    for separator in re.finditer(_SEPARATORS + r"(?=.)", bare):
        side = _SIDE_WORD.match(bare, separator.end())
        ends = (separator.start(), side.end()) if side else (separator.start(),)
        if any(_is_shape(bare[start:end]) for start in starts[-_MAX_WORDS:] for end in ends):
            return
        yield _Ending(any(c in separator[0] for c in ".:|/"), bare[separator.end() :])
        starts.append(separator.end())


def _is_shape(words: str) -> bool:
    """Whether words are one of ARKit's names, with or without its side. "Mouth" alone is none: it may be the name of a mesh."""
    stem, side = split_side(words)
    return stem in _BY_STEM and (side != "" or stem not in NEEDS_SIDE)
