"""Draw a contact sheet of a clip's frames with everybody's track number, to check who is who frame by frame.

    python -m experiments.inspect.track_strip clip.mp4 sheet.png
    python -m experiments.inspect.track_strip clip.mp4 sheet.png --every 5 --faces clip.npz

--faces reads the predictions from that file if it exists, and writes them there if not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from experiments.common import make_parser, picture_grid
from mfn.inference.model_zoo import DEFAULT_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from mfn.video.reader import read_frames
from mfn.video.shots import shot_boundaries, thumbnail, thumbnail_change
from mfn.video.tracking.clip_tracker import track_clip
from retarget.io.images import Image, write_image

WIDTH_PX, COLUMNS = 160, 12
COLORS = ((255, 90, 60), (60, 170, 255), (90, 220, 90), (255, 210, 50), (220, 90, 255), (80, 240, 230))
WHITE = (255, 255, 255)


class Clip(NamedTuple):
    """Hold a clip of F frames: small frames, their scale, times (F,) in seconds, shot boundaries (F,) and the faces found."""

    small: list[Image]
    factor: float
    time_s: NDArray[np.float64]
    cuts: NDArray[np.bool_]
    faces: Faces


def read(path: Path, predictor: Predictor | None) -> Clip:
    """Read a clip once. Without a predictor there are no faces."""
    small: list[Image] = []
    found: list[Faces] = []
    times, change, last, factor = [], [], None, 1.0
    for number, (time_s, frame) in enumerate(read_frames(path)):
        factor = WIDTH_PX / frame.shape[1]
        resized = cv2.resize(frame, (WIDTH_PX, round(frame.shape[0] * factor)), interpolation=cv2.INTER_AREA)
        small.append(np.asarray(resized, np.uint8))
        current = thumbnail(frame)
        change.append(thumbnail_change(last, current))
        times.append(time_s)
        last = current
        if predictor is not None:
            faces = predictor(frame)
            found.append(faces.replace(image=np.full(len(faces), number, np.int32)))
    faces = Faces.concatenate(found) if found else Faces.empty()
    return Clip(small, factor, np.array(times), shot_boundaries(np.array(change)), faces)


def draw_tile(small: Image, faces: Faces, factor: float, text: str) -> Image:
    """Draw the boxes and track numbers of faces on a small frame. factor: from px of the faces to px of the frame."""
    tile: Image = small.copy()
    for box, track in zip(faces.box * factor, faces.track, strict=True):
        color = COLORS[int(track) % len(COLORS)]
        x1, y1, x2, y2 = (int(v) for v in box)
        cv2.rectangle(tile, (x1, y1), (x2, y2), color, 2)
        cv2.putText(tile, str(track), (x1, max(y1 - 3, 10)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, 2)
    cv2.putText(tile, text, (2, tile.shape[0] - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.35, WHITE, 1)
    return tile


def summary(faces: Faces, frames: int, cuts: NDArray[Any]) -> list[str]:
    """Return a line for each person, and one with the shot boundaries."""
    lines = []
    for track in np.unique(faces.track):
        own = faces[faces.track == track]
        lines.append(f"person {track}: {len(own)} of {frames} frames, {own.image.min()} to {own.image.max()}")
    return [*lines, f"shots begin at {np.flatnonzero(cuts).tolist()}"]


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("clip", type=Path, help="the video")
    parser.add_argument("out", type=Path, help="the picture")
    parser.add_argument("--every", type=int, default=1, help="draw every n-th frame")
    parser.add_argument("--faces", type=Path, help="file of the predictions, .npz")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS, help="ONNX file of the network")
    args = parser.parse_args()
    known = Faces.load(args.faces) if args.faces and args.faces.is_file() else None
    clip = read(args.clip, None if known is not None else Predictor.load(args.weights))
    faces = known if known is not None else clip.faces
    if args.faces and known is None:
        faces.save(args.faces)
    faces = track_clip(faces, clip.time_s, clip.cuts)
    print("\n".join(summary(faces, len(clip.small), clip.cuts)))
    chosen = range(0, len(clip.small), args.every)
    tiles = [draw_tile(clip.small[i], faces[faces.image == i], clip.factor, str(i)) for i in chosen]
    write_image(args.out, picture_grid(tiles, COLUMNS))


if __name__ == "__main__":
    main()
