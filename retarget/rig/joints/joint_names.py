"""The usual names of the joints of head, neck, eyes and jaw.

A pattern is compared with a name in lower case, letters and digits only: `CC_Base_L_Eye` is "ccbaseleye", `head.x` is "headx".
"""

from __future__ import annotations

import re
from typing import Literal

JointKind = Literal["head", "neck", "left eye", "right eye", "jaw"]

_PREFIX = r"(mixamorig\d*|(valvebiped)?bip\d*|ccbase|def|org|mch|rig|jnt|jadj|jbipc|jbip|armature|facial|bone|b|c|m)?c?"
_SUFFIX = r"(bone|joint|jnt|ball|drv)?(m|x)?(\d*)"
_HEADS = "head|頭|头|머리|kopf|t[eê]te|cabeza|cabeça|testa|głowa|голова"
_NECKS = "neck(twist|upper|lower)?|首|脖子|목|hals|cou|cuello|pescoço|collo|szyja|шея"
_EYE = "eye(ball|master|offset|root)?"
_NAMES: dict[JointKind, str] = {
    "head": _HEADS,
    "neck": _NECKS,
    "left eye": f"(left|l)(face)?{_EYE}|{_EYE}(left|l)|左目",
    "right eye": f"(right|r)(face)?{_EYE}|{_EYE}(right|r)|右目",
    "jaw": "(lower)?jaw(root|master|lower|main)?|mandible|顎|あご|下巴|kiefer|unterkiefer|m[aâ]choire",
}
_LOWER_TEETH = "(lower|bottom)(teeth|gums?)|(teeth|gums?)(lower|bottom|bot|btm|b)"
_SPINE = re.compile(r"(?:(?:DEF|ORG|MCH)[-_.])?spine[._]?0*(\d+)(?:_\d+)?", re.IGNORECASE)
_MIN_NECK_NUMBER = 4  # Rigify: spine to spine.003 are the back, 004 and 005 the neck, 006 the head

VRM_BONES: dict[JointKind, str] = {
    "head": "head",
    "neck": "neck",
    "left eye": "leftEye",
    "right eye": "rightEye",
    "jaw": "jaw",
}
"""The names of the joints among VRM's bones."""


def name_patterns(kind: JointKind) -> list[str]:
    """Return patterns of names, the most certain first. Lower teeth on a node of their own count as a jaw."""
    names = [_NAMES[kind], _LOWER_TEETH] if kind == "jaw" else [_NAMES[kind]]
    return [f"{_PREFIX}({pattern}){_SUFFIX}" for pattern in names]


def rigify_number(name: str) -> int | None:
    """Return the number of a joint of Rigify's spine above the back (`DEF-spine.006` -> 6), or None for any other name.

    The last one is the head, those before it are the neck. Rigify has no joint called "head" among those that move the skin.
    """
    match = _SPINE.fullmatch(name)
    return int(match[1]) if match and int(match[1]) >= _MIN_NECK_NUMBER else None
