"""Draw a strip of a clip's frames: the person, the found head over it, and the character below. For a check by eye.

    python -m experiments.inspect.clip_strip clip.mp4 strip.png

The script also prints the range of the shapes that move most, so that a channel that never moves shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.common import make_parser
from mfn.animation.bridge import faces_to_take
from mfn.inference.model_zoo import DEFAULT_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.inference.visualize import draw_faces
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.video.one_euro import smooth_faces
from mfn.video.reader import read_frames
from mfn.video.tracking.clip_tracker import track_clip
from retarget import Rig, load_rig, render_scene
from retarget.arkit import EXPRESSION_NAMES
from retarget.geometry.weak_perspective import default_focal_px
from retarget.io.images import Image, write_image
from retarget.rig.avatars import find_avatar

SIDE_PX = 320
PRINTED_SHAPES = 12
QUANTILES = (0.05, 0.95)


class Clip(NamedTuple):
    """Hold the frames of a clip and the smoothed faces of its main person; `faces.image` is the frame."""

    frames: list[Image]
    faces: Faces


def read_main_person(path: Path, predictor: Predictor) -> Clip:
    """Read a clip, and track and smooth the person who is in most frames."""
    frames, times, found = [], [], []
    for number, (time_s, frame) in enumerate(read_frames(path)):
        faces = predictor(frame)
        frames.append(frame)
        times.append(time_s)
        found.append(faces.replace(image=np.full(len(faces), number, np.int32)))
    time_array = np.array(times)
    faces = track_clip(Faces.concatenate(found), time_array)
    tracks, counts = np.unique(faces.track, return_counts=True)
    return Clip(frames, smooth_faces(faces[faces.track == tracks[counts.argmax()]], time_array))


def crop_face(picture: Image, face: Faces) -> Image:
    """Cut the square around a face, or keep the picture if there is none, and resize it to SIDE_PX."""
    import cv2

    if len(face):
        height, width = picture.shape[:2]
        half = 0.9 * (face.box[0, 3] - face.box[0, 1])
        cx, cy = (face.box[0, :2] + face.box[0, 2:]) / 2
        x1, y1, x2, y2 = (int(v) for v in (max(cx - half, 0), max(cy - half, 0), min(cx + half, width), min(cy + half, height)))
        picture = picture[y1:y2, x1:x2]
    return np.asarray(cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)


def draw_column(frame: Image, face: Faces, model: HeadModel, rig: Rig) -> Image:
    """Draw one frame's crop, the same with the head on it, and the character in its place: (3 SIDE_PX, SIDE_PX, 3)."""
    height, width = frame.shape[:2]
    focal_px = default_focal_px(width, height)
    character = render_scene(faces_to_take(face, (width, height)), [rig], width, height, focal_px, frame // 3 + 40)
    return np.concatenate([crop_face(picture, face) for picture in (frame, draw_faces(frame, face, model), character)])


def shape_ranges(faces: Faces) -> list[str]:
    """Return a line for each of the shapes that move most: its name and its 5 % and 95 % quantiles."""
    low, high = np.quantile(faces.expression, QUANTILES, axis=0)
    moved = np.argsort(-(high - low))[:PRINTED_SHAPES]
    return [f"{EXPRESSION_NAMES[i]:20s} 5 % to 95 %: {low[i]:.2f} to {high[i]:.2f}" for i in moved]


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("clip", type=Path, help="the video")
    parser.add_argument("out", type=Path, help="the picture")
    parser.add_argument("--avatar", help="name or file of the character (default: the first that ships)")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS, help="ONNX file of the network")
    parser.add_argument("--frames", type=int, default=8, help="number of frames in the strip")
    args = parser.parse_args()
    model, rig = HeadModel.load(), load_rig(find_avatar(args.avatar))
    frames, faces = read_main_person(args.clip, Predictor.load(args.weights))
    print(f"{args.clip.name}: {len(frames)} frames, the main person in {len(faces)}")
    print("\n".join(f"  {line}" for line in shape_ranges(faces)))
    chosen = np.linspace(0, len(frames) - 1, args.frames).astype(int)
    write_image(args.out, np.concatenate([draw_column(frames[i], faces[faces.image == i], model, rig) for i in chosen], 1))


if __name__ == "__main__":
    main()
