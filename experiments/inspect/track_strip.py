"""A contact sheet of a clip's frames with everybody's track number, for looking at who is who frame by frame.

    python -m experiments.inspect.track_strip clip.mp4 sheet.png [--every 1] [--faces clip.npz]

--faces: keep what the network found there, or read it from there if the file exists.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from mfn.inference.model_zoo import DEFAULT_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from mfn.video.clip_tracker import drop_short, track_clip
from mfn.video.reader import read_frames
from mfn.video.shots import shot_boundaries, thumbnail

WIDTH, COLUMNS = 160, 12
COLOURS = ((255, 90, 60), (60, 170, 255), (90, 220, 90), (255, 210, 50), (220, 90, 255), (80, 240, 230))


def tile(small: np.ndarray, faces: Faces, factor: float, text: str) -> np.ndarray:
    """A shrunk frame with boxes and numbers."""
    picture = small.copy()
    for box, track in zip(faces.box * factor, faces.track):
        colour = COLOURS[int(track) % len(COLOURS)]
        x1, y1, x2, y2 = (int(v) for v in box)
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 2)
        cv2.putText(picture, str(track), (x1, max(y1 - 3, 10)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 2)
    cv2.putText(picture, text, (2, picture.shape[0] - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 255, 255), 1)
    return picture


def main() -> None:
    """Reads, finds, tracks, draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("clip", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS)
    args = parser.parse_args()
    known = Faces.load(args.faces) if args.faces and args.faces.is_file() else None
    predictor = None if known is not None else Predictor.load(args.weights)
    small, found, times, change, last = [], [], [], [], None
    factor = 1.0
    for number, (time_s, frame) in enumerate(read_frames(args.clip)):
        factor = WIDTH / frame.shape[1]
        small.append(cv2.resize(frame, (WIDTH, round(frame.shape[0] * factor)), interpolation=cv2.INTER_AREA))
        now = thumbnail(frame)
        change.append(0.0 if last is None else float(np.abs(now - last).mean()))
        times.append(time_s)
        last = now
        if predictor is not None:
            faces = predictor(frame)
            found.append(faces.replace(image=np.full(len(faces), number)))
    faces = known if known is not None else Faces.concatenate(found)
    if args.faces and known is None:
        faces.save(args.faces)
    cuts = shot_boundaries(np.array(change))
    faces = drop_short(track_clip(faces, np.array(times), cuts), np.array(times))
    for track in np.unique(faces.track):
        mine = faces[faces.track == track]
        print(f"person {track}: {len(mine)} of {len(times)} frames, {mine.image.min()} to {mine.image.max()}")
    print(f"cuts at {np.flatnonzero(cuts).tolist()}")
    tiles = [tile(small[i], faces[faces.image == i], factor, str(i)) for i in range(0, len(small), args.every)]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[i : i + COLUMNS], 1) for i in range(0, len(tiles), COLUMNS)]
    cv2.imwrite(str(args.out), np.concatenate(rows)[..., ::-1])


if __name__ == "__main__":
    main()
