"""Which of a rig's morph targets are ARKit's: by ARKit's names, behind a prefix, or under names that other makers use.

ARKit's own name comes first, then the same behind a prefix (`A25_Jaw_Open`, `head_lod0_mesh__eye_blink_L`), then with
its side elsewhere (`Eye_L_Look_Up`, `eyeBlinkL`) or another maker's name (`Brow_Drop_L`), then a target of both sides
(`eyesClosed`), last a vowel (`viseme_aa`). A later one counts only for what no earlier one shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from retarget.arkit import ARKIT_NAMES, LONGEST_NAME, canonical_name
from retarget.rig.vrm import PRESET

Shares = dict[str, float]  # ARKit's name -> how much of it a target shows

# Other makers' names for ARKit's, without case, signs and side: Character Creator's and iClone's (browraiseinner),
# MetaHuman's (browraisein; u and d are the upper and lower lip), VRChat's Unified Expressions and SRanipal's (eyeclosed),
# Faceshift's (browsuc), Ready Player Me's without ARKit's (eyesclosed), VRoid's meshes' (brwsorrow), MikuMikuDance's.
# A name of a middle shape that is there for each side is a half of it.
_OTHERS = {
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
# Words that are the whole of a name, or nothing: with others they mean other things.
_ALONE = {"blink": "eyeBlink", "wink": "eyeBlink", "smile": "mouthSmile", "frown": "mouthFrown", "pucker": "mouthPucker"}
_ALONE |= {"mouthkiss": "mouthPucker", "browup": "browOuterUp", "puff": "cheekPuff", "sneer": "noseSneer"}
_ALONE |= {"jawdrop": "jawOpen", "openmouth": "jawOpen"}
# Vowels are those of VRM, in the spellings of Oculus and VRChat.
_VOWELS = {f"{start}{own}": PRESET[preset].parts for start, owns in (("viseme", "aa i u e o"), ("v", "aa ih ou e oh"))
           for own, preset in zip(owns.split(), ("aa", "ih", "ou", "ee", "oh"), strict=True)}  # fmt: skip
# An eye that turns to a side of the face: outwards or inwards, by which eye it is.
_TURNS = {f"eyelook{way}": side for side, ways in (("left", ("l", "left")), ("right", ("r", "right"))) for way in ways}


def split_side(name: str) -> tuple[str, str]:
    """A name without case, signs and side, and its side: "left", "right" or ""."""
    name = re.sub(r"(^|[._ -])([LR])[._ -](.+)", r"\1\3_\2", name[-LONGEST_NAME:])  # Eye_L_Look_Up
    match = re.fullmatch(r"(.*?)[._ -]?(Left|Right|left|right|LEFT|RIGHT|[._ -][LRlr]|(?<=[a-zDU])[LR])", name)
    stem, side = (match[1], match[2].strip("._ -").lower()) if match else (name, "")
    if not match and (first := re.fullmatch(r"(Left|Right|left|right)[._ -]?(.*)", name)):
        stem, side = first[2], first[1].lower()
    return "".join(c for c in stem.lower() if c.isalnum()), {"l": "left", "r": "right"}.get(side, side)


_OWN = {other: own.lower() for own, others in _OTHERS.items() for other in others.split()}
_BY_STEM: dict[str, list[str]] = {}  # "jawopen" -> jawOpen, "eyeblink" -> both of its sides
for _name in ARKIT_NAMES:
    _BY_STEM.setdefault(split_side(_name)[0], []).append(_name)


def find_shapes(meshes: Sequence[Sequence[str]], others: bool = True) -> list[Shares]:
    """What each target of each mesh (its names) shows of ARKit's, all in one row; {} for nothing. others: look beyond
    ARKit's own names and prefixes to them."""
    found: list[list[Shares]] = [[{} for _ in names] for names in meshes]
    shown: set[str] = set()
    ways = [_exact, _behind_prefix, *((_of_one_side, _of_both_sides, _of_speech) if others else ())]
    for way in ways:
        new: set[str] = set()
        for names, rows in zip(meshes, found, strict=True):
            # A mesh may have a prefix that others do not have.
            taken = {name for row in rows for name in row} if way is _behind_prefix else shown
            for row, name in zip(rows, names, strict=True):
                shares = {} if row else {own: share for own, share in way(name).items() if own not in taken}
                row.update(shares if any(share > 0 for share in shares.values()) else {})
            new |= {name for row in rows for name in row}
        shown |= new
    return [row for rows in found for row in rows]


def _exact(name: str) -> Shares:
    known = canonical_name(name)
    return {known: 1.0} if known else {}


def _behind_prefix(name: str) -> Shares:
    for _, rest in _endings(name):
        if known := canonical_name(rest):
            return {known: 1.0}
    return {}


def _of_one_side(name: str) -> Shares:
    for whole, rest in [(True, name), *_endings(name)]:
        stem, side = split_side(rest)
        if side and stem in _TURNS:
            return {f"eyeLook{'Out' if side == _TURNS[stem] else 'In'}{side.capitalize()}": 1.0}
        own = _named(stem, whole)
        if len(own) == 1:
            return {own[0]: 1.0}
        if own and side:
            return {own[side == "right"]: 1.0}
    return {}


def _of_both_sides(name: str) -> Shares:
    for whole, rest in [(True, name), *_endings(name)]:
        stem, side = split_side(rest)
        if not side and (own := _named(stem, whole)):
            return dict.fromkeys(own, 1 / len(own))
    return {}


def _of_speech(name: str) -> Shares:
    keys = ["".join(c for c in rest.lower() if c.isalnum()) for _, rest in [(True, name), *_endings(name)]]
    return next((dict(_VOWELS[key]) for key in keys if key in _VOWELS), {})


def _named(stem: str, whole: bool) -> list[str]:
    """ARKit's names, left before right, for a stem of its own or of others."""
    own = _OWN.get(stem) or (_ALONE.get(stem, "").lower() if whole else "")
    return _BY_STEM.get(stem) or _BY_STEM.get(own, [])


def _endings(name: str) -> Iterator[tuple[bool, str]]:
    """What follows a sign in the name, longest first, and whether the sign ends an owner's name; first the name without
    Blender's number of a copy. A name that goes on after one of ARKit's (`jawOpen_mouthFunnel`) corrects both at once:
    it is none of them."""
    name = name[-LONGEST_NAME:]
    if (bare := re.sub(r"\.\d{3}$", "", name)) != name:
        yield True, bare
    for sign in re.finditer(r"[._:| /-]+(?=.)", bare):
        before = bare[: sign.start()]
        if any(split_side(part)[0] in _BY_STEM for part in (before, *re.split(r"[._:| /-]+", before))):
            return
        yield any(c in sign[0] for c in ".:|/"), bare[sign.end() :]
