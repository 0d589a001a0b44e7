"""Show live images in a window, with faces or characters drawn in and a line of text in the corner."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mfn.inference.visualize import draw_faces
from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model
from retarget.io.images import Image
from retarget.performance.take import Take
from retarget.render.scene import render_scene
from retarget.rig.rig import Rig

_MAX_SIDE_PX = 960  # larger images are shrunk
_KEY_ESCAPE = 27
_MIN_TEXT_SCALE = 0.4
_TEXT_SCALE_WIDTH_PX = 1600  # image width at which the text has scale 1
_ALTERNATIVE = "use --to vmc or --to livelink, or `mfn animate` to write a file"


class PreviewWindow:
    """Window that shows images until the user presses q or Esc, or closes it. The key n asks for a neutral face."""

    def __init__(self, title: str, rigs: Sequence[Rig] = (), background: tuple[int, int, int] | None = None) -> None:
        """Prepare the window. It opens with the first image.

        Args:
            title: Title of the window.
            rigs: Characters to show; people take them in turn. Empty: meshes of the faces.
            background: Color that replaces the camera's picture, RGB from 0 to 255. No text is then drawn, so that another program can
                record the window and remove the color. None: the camera's picture.

        Raises:
            ValueError: There is no display.
        """
        check_display()
        self._title, self._rigs, self._background = title, rigs, background
        self._opened = self._neutral_asked = False

    def show(self, picture: Image, faces: Faces, take: Take, focal_px: float, line: str) -> bool:
        """Show one image.

        Args:
            picture: (H, W, 3) uint8 RGB.
            faces: The faces in it.
            take: The same people in the scene.
            focal_px: Focal length of the camera, px.
            line: Text for the corner.

        Returns:
            False once the user wants to end.
        """
        import cv2

        shown = draw_people(picture, faces, take, focal_px, self._rigs, self._background)
        if self._background is None:
            draw_corner_text(shown, line)
        try:
            cv2.imshow(self._title, np.ascontiguousarray(shown[:, :, ::-1]))
            key = cv2.waitKey(1) & 0xFF
            closed = self._opened and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:
            raise ValueError(f"this OpenCV cannot open windows (opencv-python-headless?); {_ALTERNATIVE}") from None
        self._opened = True
        self._neutral_asked |= key == ord("n")
        return not closed and key not in (_KEY_ESCAPE, ord("q"))

    def take_neutral_request(self) -> bool:
        """Return whether the user pressed n since the last call."""
        asked, self._neutral_asked = self._neutral_asked, False
        return asked

    def close(self) -> None:
        """Close the window, if it was opened."""
        import cv2

        if self._opened:
            cv2.destroyAllWindows()


def draw_people(
    picture: Image, faces: Faces, take: Take, focal_px: float, rigs: Sequence[Rig] = (), background: tuple[int, int, int] | None = None
) -> Image:
    """Draw the people of a live image on a copy of it, which is made smaller if it is large.

    Args:
        picture: (H, W, 3) uint8 RGB.
        faces: The faces in it.
        take: The same people in the scene.
        focal_px: Focal length of the camera, px.
        rigs: Characters; people take them in turn. Empty: meshes of the faces.
        background: Color that replaces the picture, RGB from 0 to 255; characters then show their whole bodies. None: the picture.
    """
    import cv2

    factor = min(1.0, _MAX_SIDE_PX / max(picture.shape[:2]))
    if factor < 1:
        size = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        faces = faces.replace(box=faces.box * factor, center=faces.center * factor, scale=faces.scale * factor)
    if background is not None:
        picture = np.full_like(picture, background)
    if not rigs:
        return draw_faces(picture, faces, default_head_model())
    return render_scene(take, rigs, picture.shape[1], picture.shape[0], focal_px * factor, picture, whole_body=background is not None)


def check_display() -> None:
    """Raise ValueError unless a window can be opened. Without this check, Qt would end the whole process."""
    if not sys.platform.startswith("linux") or os.environ.get("WAYLAND_DISPLAY"):
        return
    display = os.environ.get("DISPLAY", "")
    if not display:
        raise ValueError(f"--to window needs a display, and there is none here (DISPLAY is not set); {_ALTERNATIVE}")
    local = display.partition(":")[2].partition(".")[0] if display.startswith((":", "unix:")) else ""
    if local and not Path(f"/tmp/.X11-unix/X{local}").exists():
        raise ValueError(f"--to window needs a display, and {display} does not answer; {_ALTERNATIVE}")


def draw_corner_text(picture: Image, text: str) -> None:
    """Write a line of text into the upper left corner, on a darkened background, in place."""
    import cv2

    scale = max(_MIN_TEXT_SCALE, picture.shape[1] / _TEXT_SCALE_WIDTH_PX)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    picture[: 2 * height + 4, : width + 12] //= 3
    position = (6, round(1.5 * height) + 2)
    cv2.putText(picture, text, position, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
