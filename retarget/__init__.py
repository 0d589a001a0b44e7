"""Animate glTF characters with face performances, for any number of people at once.

A `Take` is a performance: ARKit coefficients and head poses over time. A `Rig` is a character. The package needs NumPy, and
OpenCV and Pillow for images. It does not know how a performance was recorded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retarget.animation.scene import write_scene as write_scene
    from retarget.performance.files import read_take as read_take
    from retarget.performance.take import Take as Take
    from retarget.render.scene import render_scene as render_scene
    from retarget.rig.load import load_rig as load_rig
    from retarget.rig.rig import Rig as Rig

_HOME = {
    "Rig": "retarget.rig.rig",
    "Take": "retarget.performance.take",
    "load_rig": "retarget.rig.load",
    "read_take": "retarget.performance.files",
    "render_scene": "retarget.render.scene",
    "write_scene": "retarget.animation.scene",
}
__all__ = ["Rig", "Take", "load_rig", "read_take", "render_scene", "write_scene"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'retarget' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
