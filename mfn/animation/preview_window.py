"""A window that shows what is seen live, with a line of text in its corner."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mfn.structures.faces import Faces
from retarget.io.images import Picture

if TYPE_CHECKING:
    from retarget import Rig, Take

_SIDE = 960  # most that a picture is shown at, px
_INSTEAD = "use --to vmc or --to livelink, or mfn animate to write a file"


class Window:
    """Shows pictures with meshes or characters and the latency in a corner; q, Esc or closing it ends the session."""

    def __init__(self, title: str, rigs: Sequence[Rig] = ()) -> None:
        from mfn.structures.head_model import HeadModel

        needs_display()
        self._title, self._rigs = title, rigs
        self._head_model = None if rigs else HeadModel.load()
        self._opened = False

    def show(self, picture: Picture, faces: Faces, take: Take, focal_px: float, line: str) -> bool:
        """False once the user has had enough."""
        import cv2

        from mfn.inference.visualize import draw_faces

        shrink = min(1.0, _SIDE / max(picture.shape[:2]))
        if shrink < 1:
            size = (round(picture.shape[1] * shrink), round(picture.shape[0] * shrink))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
            faces = faces.replace(box=faces.box * shrink, center=faces.center * shrink, scale=faces.scale * shrink)
        if self._rigs:
            from retarget import render_scene

            height, width = picture.shape[:2]
            shown = render_scene(take, self._rigs, width, height, focal_px * shrink, picture)
        else:
            shown = draw_faces(picture, faces, self._head_model)
        write_corner(shown, line)
        try:
            cv2.imshow(self._title, np.ascontiguousarray(shown[:, :, ::-1]))
            key = cv2.waitKey(1) & 0xFF
            closed = self._opened and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:
            raise ValueError(f"this OpenCV cannot open windows (opencv-python-headless?); {_INSTEAD}") from None
        self._opened = True
        return not closed and key not in (27, ord("q"))

    def close(self) -> None:
        """Away with it."""
        import cv2

        if self._opened:
            cv2.destroyAllWindows()


def needs_display() -> None:
    """ValueError unless a window can be opened here; asked first, because Qt would end the whole process."""
    if not sys.platform.startswith("linux") or os.environ.get("WAYLAND_DISPLAY"):
        return
    display = os.environ.get("DISPLAY", "")
    if not display:
        raise ValueError(f"--to window needs a display, and there is none here (DISPLAY is not set); {_INSTEAD}")
    local = display.partition(":")[2].partition(".")[0] if display.startswith((":", "unix:")) else ""
    if local and not Path(f"/tmp/.X11-unix/X{local}").exists():
        raise ValueError(f"--to window needs a display, and {display} does not answer; {_INSTEAD}")


def write_corner(picture: Picture, text: str) -> None:
    """A line of text into the upper left corner, readable on anything."""
    import cv2

    scale = max(0.4, picture.shape[1] / 1600)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    picture[: 2 * height + 4, : width + 12] //= 3
    at = (6, round(1.5 * height) + 2)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
