"""What stands around the characters of a scene: the camera, the lights, and what a program needs to know of the footage."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.rotations import affine_matrix, matrix_to_quaternion
from retarget.geometry.weak_perspective import default_focal_px
from retarget.gltf.document import Document, Glb, add
from retarget.io.scene_arguments import DEFAULT_SIZE_PX
from retarget.performance.take import Footage
from retarget.rig.rig import Rig

_NEAR_PLANE_M = 0.01
_FILL_SHARE = 0.35  # brightness of the second light, relative to the first
_DIRECTION_TO_LAMP = (-0.35, 0.55, 0.75)
_DIRECTION_TO_FILL = (0.8, 0.1, 0.6)
_PORTRAIT_DISTANCE_M = 0.8  # of a camera before a head of human size
_PORTRAIT_YFOV_RAD = 0.5


class Camera(NamedTuple):
    """The camera of the footage: the size of its picture and its focal length, px."""

    width: int
    height: int
    focal_px: float


class Stage(NamedTuple):
    """Where the camera stands and what its lens is.

    Attributes:
        place: (4, 4) camera to scene. The camera looks along its -z.
        yfov: Vertical field of view in radians.
        aspect: Width of the picture by its height.
    """

    place: NDArray[np.float64]
    yfov: float
    aspect: float


def camera_of_footage(
    footage: Footage, width: int | None = None, height: int | None = None, focal_px: float | None = None
) -> Camera:
    """Return the camera that the arguments, the footage or the defaults state, in this order.

    A focal length of the footage is scaled to the width of the picture.
    """
    known = footage.width and footage.height
    default = (footage.width or 0, footage.height or 0) if known else DEFAULT_SIZE_PX
    width, height = default[0] if width is None else width, default[1] if height is None else height
    if focal_px is None:
        focal_px = default_focal_px(width, height)
        if footage.focal_px is not None:
            focal_px = footage.focal_px * (width / footage.width if footage.width else 1)
    return Camera(width, height, focal_px)


def footage_stage(camera: Camera) -> Stage:
    """Return the camera of the footage: at the origin, looking along -z."""
    return Stage(np.eye(4), 2 * math.atan(camera.height / (2 * camera.focal_px)), camera.width / camera.height)


def portrait_stage(rig: Rig, camera: Camera) -> Stage:
    """Return a camera in front of a character that stands at its own origin."""
    turn = rig.front_rotation.T
    place = rig.eye_center + turn @ (0, 0, _PORTRAIT_DISTANCE_M / rig.scale)
    return Stage(affine_matrix(turn, place), _PORTRAIT_YFOV_RAD, camera.width / camera.height)


def add_surroundings(glb: Glb, stage: Stage, light_lux: float) -> None:
    """Add the camera and two lights to the default scene.

    Args:
        glb: The scene.
        stage: The camera.
        light_lux: Illuminance of the main light in lux; 0 adds no light.

    Lights of glTF have photometric units. Viewers without exposure, such as most web viewers, expect about 3 lux.
    """
    lens = {"yfov": stage.yfov, "aspectRatio": stage.aspect, "znear": _NEAR_PLANE_M}
    camera = add(glb, "cameras", {"name": "picture", "type": "perspective", "perspective": lens})
    node: Document = {"name": "camera", "camera": camera}
    turn = stage.place[:3, :3]
    if not np.array_equal(stage.place, np.eye(4)):
        node |= {"translation": _floats(stage.place[:3, 3]), "rotation": _floats(matrix_to_quaternion(turn))}
    add_to_scene(glb, node)
    if light_lux > 0:
        _add_light(glb, "lamp", turn @ _DIRECTION_TO_LAMP, light_lux)
        _add_light(glb, "fill", turn @ _DIRECTION_TO_FILL, _FILL_SHARE * light_lux)


def add_to_scene(glb: Glb, node: Document) -> None:
    """Add a node to the default scene."""
    glb.document["scenes"][0].setdefault("nodes", []).append(add(glb, "nodes", node))


def _add_light(glb: Glb, name: str, direction: NDArray[np.float64], intensity_lux: float) -> None:
    """Add a directional light that comes from a direction."""
    document = glb.document
    lights = document.setdefault("extensions", {}).setdefault("KHR_lights_punctual", {}).setdefault("lights", [])
    lights.append({"name": name, "type": "directional", "intensity": intensity_lux})
    if "KHR_lights_punctual" not in document.setdefault("extensionsUsed", []):
        document["extensionsUsed"].append("KHR_lights_punctual")
    z = direction / np.linalg.norm(direction)  # a light shines along its -z
    x = np.cross((0.0, 1.0, 0.0), z)
    x /= np.linalg.norm(x)
    rotation = matrix_to_quaternion(np.stack([x, np.cross(z, x), z], axis=1))
    light = {"KHR_lights_punctual": {"light": len(lights) - 1}}
    add_to_scene(glb, {"name": name, "rotation": _floats(rotation), "extensions": light})


def _floats(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in values]
