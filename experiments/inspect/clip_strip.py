"""A strip of a clip's frames, the found head over the actor, and the character beside: for judging expression by eye.

    python -m experiments.inspect.clip_strip clip.mp4 strip.png [--avatar avatars/robot.glb] [--frames 8]

Prints how much the strongest shapes move, so that a dead channel shows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mfn.animation.bridge import default_focal_px, faces_to_take
from mfn.inference.model_zoo import DEFAULT_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.inference.visualize import draw_faces
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.video.clip_tracker import track_clip
from mfn.video.one_euro import smooth_faces
from mfn.video.reader import read_frames
from retarget import load_rig, render_scene
from retarget.arkit import EXPRESSION_NAMES
from retarget.rig.avatars import find_avatar

SIDE = 320


def column(frame: np.ndarray, face: Faces, model: HeadModel, rig) -> np.ndarray:  # type: ignore[no-untyped-def]
    """One frame's crop, the same with the head drawn, and the character in its place: (3 * SIDE, SIDE, 3)."""
    import cv2

    height, width = frame.shape[:2]
    focal = default_focal_px(width, height)
    character = render_scene(faces_to_take(face, (width, height)), [rig], width, height, focal, frame // 3 + 40)
    tiles = []
    for picture in (frame, draw_faces(frame, face, model), character):
        if len(face):
            half = 0.9 * (face.box[0, 3] - face.box[0, 1])
            cx, cy = (face.box[0, :2] + face.box[0, 2:]) / 2
            x1, y1, x2, y2 = (int(v) for v in (max(cx - half, 0), max(cy - half, 0), min(cx + half, width), min(cy + half, height)))
            picture = picture[y1:y2, x1:x2]
        tiles.append(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return np.concatenate(tiles)


def main() -> None:
    """Reads, finds, draws, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("clip", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--avatar", help="a rigged .glb (default: the shipped one)")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS)
    parser.add_argument("--frames", type=int, default=8)
    args = parser.parse_args()
    predictor, model, rig = Predictor.load(args.weights), HeadModel.load(), load_rig(find_avatar(args.avatar))
    frames, times, found = [], [], []
    for number, (time_s, frame) in enumerate(read_frames(args.clip)):
        faces = predictor(frame)
        frames.append(frame)
        times.append(time_s)
        found.append(faces.replace(image=np.full(len(faces), number)))
    faces = track_clip(Faces.concatenate(found), np.array(times))
    tracks, counts = np.unique(faces.track, return_counts=True)
    faces = faces[faces.track == tracks[counts.argmax()]]
    faces = smooth_faces(faces, np.array(times))
    print(f"{args.clip.name}: {len(frames)} frames, the main face in {len(faces)}")
    spread = np.quantile(faces.expression, 0.95, 0) - np.quantile(faces.expression, 0.05, 0)
    for i in np.argsort(-spread)[:12]:
        low, high = np.quantile(faces.expression[:, i], (0.05, 0.95))
        print(f"  {EXPRESSION_NAMES[i]:20s} 5 % to 95 %: {low:.2f} to {high:.2f}")
    chosen = np.linspace(0, len(frames) - 1, args.frames).astype(int)
    import cv2

    strip = np.concatenate([column(frames[i], faces[faces.image == i], model, rig) for i in chosen], 1)
    cv2.imwrite(str(args.out), strip[..., ::-1])


if __name__ == "__main__":
    main()
