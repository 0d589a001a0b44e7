"""Measure what a crowd's expressions gain when the readers take turns (`FrameMemory`): more faces in a frame than are read in it.

    python -m experiments.video.crowd_turns --eval ../shared/eval

Every person of the simulated crowd shows the face of the same clip, each from another frame on, in frames of 1280 x 720 px. The root
of the area of a face's box is FACE_PX. The model `small` reads 16 faces of a frame. The reference is what the same networks read in the
clip itself, frame by frame. For each number of people and each way of reading, the script reports:

- the share of faces found, and the mean number of faces too many in a frame;
- the mean error of a weight, and the mean correlation and gain of the shapes that move;
- jitter: the mean second difference, from frame to frame, of the box's height in percent of it, and of the three angles in degrees.
  The faces move as well, so that only differences between the ways say something.

It writes experiments/results/video/crowd_turns.json.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.evaluation_sets import read_clip
from experiments.accuracy.expression.clips import MIN_RANGE, read_frames, read_peer
from experiments.accuracy.expression.laid_faces import GRAY, Source, cell_corners, face_nearest, follow, lay_face
from experiments.common import RESULTS, Figures, add_eval_option, make_parser, markdown_table, save_report
from mfn.inference.model_zoo import DEFAULT_WEIGHTS, LIVE_MODEL
from mfn.inference.predictor import Predictor
from mfn.inference.readers.frame_memory import FrameMemory
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

RESULT = RESULTS / "video" / "crowd_turns.json"
PEOPLE = (16, 32, 60)
FRAMES = 48
FACE_PX = 64.0
WIDTH_PX, HEIGHT_PX = 1280, 720
ALL = 128  # faces that are read where all are read
Read = Callable[[Image], Faces]


class CrowdReading(NamedTuple):
    """What was read of N people in F frames; NaN where a person is not found.

    Attributes:
        expression: (F, N, 51).
        height: (F, N) of the box, px.
        angles: (F, N, 3) pitch, yaw, roll in degrees.
        extra: (F,) faces beyond one a person.
    """

    expression: NDArray[np.float64]
    height: NDArray[np.float64]
    angles: NDArray[np.float64]
    extra: NDArray[np.int64]


def crowd_frame(tiles: Sequence[Image], corners: NDArray[np.int64]) -> Image:
    """Lay tiles (h, w, 3) at the corners (N, 2) x y of their cells."""
    frame = np.full((HEIGHT_PX, WIDTH_PX, 3), GRAY, np.uint8)
    for tile, (x, y) in zip(tiles, corners, strict=True):
        frame[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return frame


def read_crowd(read: Read, sources: Sequence[Source], people: int, frames: int) -> CrowdReading:
    """Read the frames of a crowd. Each person starts at another source."""
    corners, cell = cell_corners(people, WIDTH_PX, HEIGHT_PX)
    tiles = [lay_face(source, FACE_PX, *cell) for source in sources]
    expression = np.full((frames, people, len(EXPRESSION_NAMES)), np.nan)
    height, angles, extra = np.full((frames, people), np.nan), np.full((frames, people, 3), np.nan), np.zeros(frames, int)
    for number in range(frames):
        faces = read(crowd_frame([tiles[i] for i in shown(number, people, len(sources))], corners))
        for person, corner in enumerate(corners):
            face = face_nearest(faces, corner + np.array(cell) / 2, FACE_PX)
            if len(face):
                expression[number, person], angles[number, person] = face.expression[0], face.pitch_yaw_roll_deg[0]
                height[number, person] = face.box[0, 3] - face.box[0, 1]
        extra[number] = len(faces) - np.isfinite(height[number]).sum()
    return CrowdReading(expression, height, angles, extra)


def shown(number: int, people: int, sources: int) -> NDArray[np.int64]:
    """Return the source (people,) that each person shows in a frame."""
    return (number + np.arange(people) * (sources // people + 1)) % sources


def compare(reference: NDArray[np.float64], value: NDArray[np.float64]) -> Figures:
    """Compare expressions (N, 51) with the reference; rows of NaN were not found."""
    found = np.isfinite(value[:, 0])
    reference, value = reference[found], value[found]
    moving = np.flatnonzero(np.ptp(reference, axis=0) > MIN_RANGE)
    follows = [follow(reference[:, k], value[:, k]) for k in moving]
    return {
        "found": round(float(found.mean()), 4),
        "error": round(float(np.abs(reference - value).mean()), 4),
        "r": round(float(np.mean([f.correlation for f in follows])), 3),
        "gain": round(float(np.mean([f.gain for f in follows])), 3),
    }


def jitter(reading: CrowdReading) -> Figures:
    """Return the mean second differences of the box's height and of the angles."""
    bend = [np.abs(np.diff(values, 2, axis=0)) for values in (reading.height / np.nanmean(reading.height, 0), reading.angles)]
    return {"height jitter, %": round(100 * float(np.nanmean(bend[0])), 2), "angle jitter, deg": round(float(np.nanmean(bend[1])), 2)}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    add_eval_option(parser)
    parser.add_argument("--clip", default="d3", help="name of a clip in the folder clips")
    args = parser.parse_args()
    path: Path = args.eval / "clips" / f"{args.clip}.mp4"
    frames, boxes = read_clip(path, 10000), read_peer(path.with_suffix(".mediapipe.npz")).box
    truth = read_frames(Predictor.load(threads=1, portrait_reader=False), frames, boxes)
    known = np.flatnonzero(np.isfinite(truth[:, 0]))
    sources = [Source(frames[i], boxes[i]) for i in known]
    figures: dict[str, dict[str, Figures]] = {}
    for people in PEOPLE:
        order = np.concatenate([shown(number, people, len(sources)) for number in range(FRAMES)])
        reference, rows = truth[known][order], {}
        for way, memory in (("by itself", None), ("in turns", FrameMemory()), ("all read", None)):
            predictor = Predictor.load(LIVE_MODEL, threads=1, portrait_reader=False)  # the ways shall differ in the turns only
            if way == "all read":
                predictor.frame_faces = ALL
            values = read_crowd(lambda image: predictor(image, video=True, memory=memory), sources, people, FRAMES)  # noqa: B023
            row = compare(reference, values.expression.reshape(len(reference), -1))
            rows[way] = row | {"too many": round(float(values.extra.mean()), 2)} | jitter(values)
        figures[str(people)] = rows
        print(markdown_table([f"{people} people", *rows[way]], [[name, *map(str, row.values())] for name, row in rows.items()]), flush=True)
    save_report(args, __file__, {"clip": args.clip, "frames": FRAMES, "face_px": FACE_PX, "people": figures}, DEFAULT_WEIGHTS)


if __name__ == "__main__":
    main()
