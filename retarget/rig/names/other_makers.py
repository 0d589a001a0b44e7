"""Names that other makers use for ARKit's shapes: in lower case, without separators and side.

If a middle shape has a target for each side, each of them is a half of it.
"""

from __future__ import annotations

from retarget.rig.vrm.presets import PRESET_BY_NAME

# Character Creator and iClone (browraiseinner), MetaHuman (browraisein; u and d are the upper and lower lip), VRChat's
# Unified Expressions and SRanipal (eyeclosed, mouthpout), Faceshift (browsuc), Ready Player Me without ARKit (eyesclosed),
# VRoid's meshes (brwsorrow), Daz (eyelidopenupper), Mixamo's Fuse (lowerlipin; jawforeward is its spelling),
# Unity's sample head (eyeblinking), Meta's Movement SDK (liptightener), MikuMikuDance (Japanese).
_OTHER_MAKERS = {
    "eyeBlink": "eyesblink eyeclosed eyesclosed eyeclose eyeblinking eyelidsclosed まばたき",
    "eyeLookDown": "eyedown eyeslookdown",
    "eyeLookIn": "eyein",
    "eyeLookOut": "eyeout",
    "eyeLookUp": "eyeup eyeslookup",
    "eyeSquint": "eyesquintinner eyesqueeze eyessquint lidtightener",
    "eyeWide": "eyewiden eyeopen eyespread eyeswide eyelidopenupper eyelidopenlower upperlidraiser",
    "jawForward": "jawfwd jawthrust jawforeward",
    "jawOpen": "mouthopen mtha jawdrop あ",
    "mouthClose": "mouthlipstogetheru mouthlipstogetherd mouthclosed mouthapeshape",
    "mouthFunnel": "mouthfunnelup mouthfunneldown mouthfunnelu mouthfunneld lipfunnel lipsfunnel mtho mouthoshape "
    "mouthfunnelupper mouthfunnellower mouthupperoverturn mouthloweroverturn upperlipout lowerlipout お",
    "mouthPucker": "mouthpuckerup mouthpuckerdown mouthlipspurseu mouthlipspursed lippucker lipspucker mthu mouthpout "
    "mouthnarrow mouthwhistlenarrowadjust う",
    "mouthSmile": "mouthcornerpull mthfun lipcornerpuller",
    "mouthFrown": "mouthcornerdepress mouthsad mthsorrow lipcornerdepressor",
    "mouthDimple": "dimpler",
    "mouthStretch": "mthi lipstretcher い",
    "mouthRollLower": "mouthrollinlower mouthlowerliprollin lipsucklower mouthlowerinside lowerlipin",
    "mouthRollUpper": "mouthrollinupper mouthupperliprollin lipsuckupper mouthupperinside upperlipin",
    "mouthShrugLower": "jawchinraised mouthraiserlower mouthloweroverlay chinraiserb",
    "mouthShrugUpper": "jawchinraiseu mouthraiserupper chinraisert",
    "mouthPress": "mouthpressu mouthpressd lippressor",
    "mouthLowerDown": "mouthdownlower mouthlowerlipdepress lowerlipdepressor lowerlipdown",
    "mouthUpperUp": "mouthupupper mouthupperlipraise upperlipraiser upperlipup",
    "browDown": "browdrop browlowerer browsd browsdown browsin brwangry eyefrown 怒り",
    "browInnerUp": "browraiseinner browraisein browsuc brwsorrow innerbrowraiser 困る",
    "browOuterUp": "browraiseouter browsu brwsurprised outerbrowraiser",
    "cheekPuff": "cheekblow mouthcheekblow",
    "cheekSquint": "cheekraise eyecheekraise cheekraiser",
    "noseSneer": "nosescrunch nosewrinkle nosewrinkler",
    "tongueOut": "tonguelongstep1 tonguelongstep2",
}
ARKIT_STEM = {other: own.lower() for own, others in _OTHER_MAKERS.items() for other in others.split()}
"""Another maker's name -> ARKit's name in lower case, without its side."""

WHOLE_NAMES = {"blink": "eyeBlink", "wink": "eyeBlink", "smile": "mouthSmile", "frown": "mouthFrown"}
WHOLE_NAMES |= {"pucker": "mouthPucker", "mouthkiss": "mouthPucker", "browup": "browOuterUp", "puff": "cheekPuff"}
WHOLE_NAMES |= {"browsup": "browOuterUp", "sneer": "noseSneer", "openmouth": "jawOpen", "squint": "eyeSquint"}
"""Names that count only if they are the whole name. As a part of a longer name they mean something else."""

VOWELS = {f"{start}{own}": PRESET_BY_NAME[preset].weights
          for start, spellings in (("viseme", "aa i u e o"), ("v", "aa ih ou e oh"))
          for own, preset in zip(spellings.split(), ("aa", "ih", "ou", "ee", "oh"), strict=True)}  # fmt: skip
"""Vowels in the spellings of Oculus, VRChat and Daz, read as VRM's vowel presets."""

EYE_TURNS = {
    f"{start}{word}": side
    for start in ("eyelook", "eye", "eyeslook")
    for side, words in (("left", ("l", "left")), ("right", ("r", "right")))
    for word in words
    if start != "eye" or len(word) > 1
}
"""Targets that turn one eye to a side of the face -> that side. It is outwards or inwards, depending on the eye."""

SIDEWAYS = {"mouthupper": "mouth", "mouthlower": "mouth", "midmouth": "mouth", "jawsideways": "jaw"}
"""Targets that move a part to the side that they name, such as SRanipal's for each lip -> the start of ARKit's name."""

OPEN_WITH_CLOSED_LIPS = "mouthapeshape"
"""SRanipal's mouthClose. It lowers the jaw too, unlike ARKit's, so that jawOpen gives way to it."""

PART_WORDS = frozenset(
    ("tongue", "teeth", "tooth", "gum", "gums", "lash", "lashes", "eyelash", "eyelashes", "eyebrow", "eyebrows")
    + ("beard", "mustache", "moustache", "hair", "tear", "tears", "tearline", "occlusion", "caruncle")
)
"""Words of a prefix that say that a target moves a part beside the skin, such as `tongue_jawOpen`."""
