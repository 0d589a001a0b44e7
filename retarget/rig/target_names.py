"""Match the names of morph targets with ARKit's 52.

The following readings are tried in this order. A later one counts only for shapes that no earlier one found:

1. ARKit's own name in any usual spelling (`browDown_L`),
2. the same after a prefix (`A25_Jaw_Open`, `head_lod0_mesh__eye_blink_L`),
3. a name with its side elsewhere (`Eye_L_Look_Up`, `eyeBlinkL`), or another maker's name (`Brow_Drop_L`),
4. one target for both sides (`eyesClosed`),
5. a vowel (`viseme_aa`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from retarget.arkit import ARKIT_NAMES, LONGEST_NAME, canonical_name
from retarget.rig.vrm.presets import PRESET_BY_NAME

Shares = dict[str, float]
"""ARKit's name -> how much of that shape a target shows at weight 1."""
Side = Literal["left", "right", ""]

# Names that other makers use for ARKit's shapes, in lower case, without separators and side: Character Creator and
# iClone (browraiseinner), MetaHuman (browraisein; u and d are the upper and lower lip), VRChat's Unified Expressions and
# SRanipal (eyeclosed), Faceshift (browsuc), Ready Player Me without ARKit (eyesclosed), VRoid's meshes (brwsorrow),
# MikuMikuDance (Japanese). If a middle shape has a target for each side, each of them is a half of it.
_OTHER_MAKERS = {
    "eyeBlink": "eyesblink eyeclosed eyesclosed eyeclose まばたき",
    "eyeLookDown": "eyedown eyeslookdown",
    "eyeLookIn": "eyein",
    "eyeLookOut": "eyeout",
    "eyeLookUp": "eyeup eyeslookup",
    "eyeSquint": "eyesquintinner",
    "eyeWide": "eyewiden eyeopen eyespread",
    "jawForward": "jawfwd",
    "jawOpen": "mouthopen mtha あ",
    "mouthClose": "mouthlipstogetheru mouthlipstogetherd mouthclosed",
    "mouthFunnel": "mouthfunnelup mouthfunneldown mouthfunnelu mouthfunneld lipfunnel lipsfunnel mtho お",
    "mouthPucker": "mouthpuckerup mouthpuckerdown mouthlipspurseu mouthlipspursed lippucker lipspucker mthu う",
    "mouthSmile": "mouthcornerpull mthfun",
    "mouthFrown": "mouthcornerdepress mouthsad mthsorrow",
    "mouthStretch": "mthi い",
    "mouthRollLower": "mouthrollinlower mouthlowerliprollin lipsucklower",
    "mouthRollUpper": "mouthrollinupper mouthupperliprollin lipsuckupper",
    "mouthShrugLower": "jawchinraised mouthraiserlower",
    "mouthShrugUpper": "jawchinraiseu mouthraiserupper",
    "mouthPress": "mouthpressu mouthpressd",
    "mouthLowerDown": "mouthdownlower mouthlowerlipdepress",
    "mouthUpperUp": "mouthupupper mouthupperlipraise",
    "browDown": "browdrop browlowerer browsd brwangry 怒り",
    "browInnerUp": "browraiseinner browraisein browsuc brwsorrow 困る",
    "browOuterUp": "browraiseouter browsu brwsurprised",
    "cheekPuff": "cheekblow mouthcheekblow",
    "cheekSquint": "cheekraise eyecheekraise",
    "noseSneer": "nosescrunch nosewrinkle",
}
# Names that count only if they are the whole name. As a part of a longer name they mean something else.
_WHOLE_NAMES = {"blink": "eyeBlink", "wink": "eyeBlink", "smile": "mouthSmile", "frown": "mouthFrown"}
_WHOLE_NAMES |= {"pucker": "mouthPucker", "mouthkiss": "mouthPucker", "browup": "browOuterUp", "puff": "cheekPuff"}
_WHOLE_NAMES |= {"sneer": "noseSneer", "jawdrop": "jawOpen", "openmouth": "jawOpen"}
# Vowels in the spellings of Oculus and VRChat, read as VRM's vowel presets.
_VOWELS = {f"{start}{own}": PRESET_BY_NAME[preset].weights
           for start, spellings in (("viseme", "aa i u e o"), ("v", "aa ih ou e oh"))
           for own, preset in zip(spellings.split(), ("aa", "ih", "ou", "ee", "oh"), strict=True)}  # fmt: skip
# Targets that turn one eye to a side of the face: outwards or inwards, depending on the eye.
_EYE_TURNS = {
    f"eyelook{word}": side for side, words in (("left", ("l", "left")), ("right", ("r", "right"))) for word in words
}
_SEPARATORS = r"[._:| /-]+"


class SplitName(NamedTuple):
    """A name in lower case without separators and side, and its side."""

    stem: str
    side: Side


def split_side(name: str) -> SplitName:
    """Split a target's name into its stem and its side of the face ("left", "right", or "" if it states none)."""
    name = re.sub(r"(^|[._ -])([LR])[._ -](.+)", r"\1\3_\2", name[-LONGEST_NAME:])  # Eye_L_Look_Up
    match = re.fullmatch(r"(.*?)[._ -]?(Left|Right|left|right|LEFT|RIGHT|[._ -][LRlr]|(?<=[a-zDU])[LR])", name)
    stem, word = (match[1], match[2].strip("._ -").lower()) if match else (name, "")
    if not match and (first := re.fullmatch(r"(Left|Right|left|right)[._ -]?(.*)", name)):
        stem, word = first[2], first[1].lower()
    side: Side = "left" if word in ("l", "left") else "right" if word in ("r", "right") else ""
    return SplitName("".join(c for c in stem.lower() if c.isalnum()), side)


_ARKIT_STEM = {other: own.lower() for own, others in _OTHER_MAKERS.items() for other in others.split()}
_BY_STEM: dict[str, list[str]] = {}  # "jawopen" -> [jawOpen]; "eyeblink" -> [eyeBlinkLeft, eyeBlinkRight]
for _name in ARKIT_NAMES:
    _BY_STEM.setdefault(split_side(_name).stem, []).append(_name)


def match_targets(meshes: Sequence[Sequence[str]], other_makers: bool = True) -> list[Shares]:
    """Match the targets of a character with ARKit's shapes.

    Args:
        meshes: For each mesh the names of its targets.
        other_makers: Also try readings 3 to 5. False for a VRM, whose expressions are more reliable than its target names.

    Returns:
        For each target, mesh after mesh, what it shows of ARKit's shapes. {} for targets without a match.
    """
    found: list[list[Shares]] = [[{} for _ in names] for names in meshes]
    matched: set[str] = set()
    readings: list[Callable[[str], Shares]] = [_arkit_name, _after_prefix]
    if other_makers:
        readings += [_one_side, _both_sides, _vowel]
    for reading in readings:
        new: set[str] = set()
        for names, rows in zip(meshes, found, strict=True):
            # One mesh may have prefixes while another one has plain names, so prefixes are decided for each mesh.
            taken = {name for row in rows for name in row} if reading is _after_prefix else matched
            for row, name in zip(rows, names, strict=True):
                shares = {} if row else {own: share for own, share in reading(name).items() if own not in taken}
                row.update(shares if any(share > 0 for share in shares.values()) else {})
            new |= {name for row in rows for name in row}
        matched |= new
    return [row for rows in found for row in rows]


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
        if side and stem in _EYE_TURNS:
            return {f"eyeLook{'Out' if side == _EYE_TURNS[stem] else 'In'}{side.capitalize()}": 1.0}
        shapes = _shapes_of(stem, ending.is_whole_name)
        if len(shapes) == 1:
            return {shapes[0]: 1.0}
        if shapes and side:
            return {shapes[side == "right"]: 1.0}
    return {}


def _both_sides(name: str) -> Shares:
    for ending in _all_endings(name):
        stem, side = split_side(ending.text)
        if not side and (shapes := _shapes_of(stem, ending.is_whole_name)):
            return dict.fromkeys(shapes, 1 / len(shapes))
    return {}


def _vowel(name: str) -> Shares:
    keys = ["".join(c for c in ending.text.lower() if c.isalnum()) for ending in _all_endings(name)]
    return next((dict(_VOWELS[key]) for key in keys if key in _VOWELS), {})


def _shapes_of(stem: str, is_whole_name: bool) -> list[str]:
    """ARKit's names, left before right, for a stem of ARKit's or of another maker."""
    own = _ARKIT_STEM.get(stem) or (_WHOLE_NAMES.get(stem, "").lower() if is_whole_name else "")
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
    for separator in re.finditer(_SEPARATORS + r"(?=.)", bare):
        before = bare[: separator.start()]
        if any(split_side(part).stem in _BY_STEM for part in (before, *re.split(_SEPARATORS, before))):
            return
        yield _Ending(any(c in separator[0] for c in ".:|/"), bare[separator.end() :])
