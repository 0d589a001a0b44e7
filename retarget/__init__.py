"""Face performances to characters: glTF rigs with ARKit shapes driven by coefficients, for any number of people at
once.

Needs numpy only (and OpenCV to read pictures); knows nothing of where a performance comes from. The nouns are `Take`
and `Rig`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retarget.animation.scene import write_scene as write_scene
    from retarget.performance.take import Take as Take
    from retarget.render.scene import render_scene as render_scene
    from retarget.rig.load import load_rig as load_rig
    from retarget.rig.rig import Rig as Rig

_HOME = {
    "Rig": "retarget.rig.rig",
    "Take": "retarget.performance.take",
    "load_rig": "retarget.rig.load",
    "render_scene": "retarget.render.scene",
    "write_scene": "retarget.animation.scene",
}
__all__ = ["Rig", "Take", "load_rig", "render_scene", "write_scene"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'retarget' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
