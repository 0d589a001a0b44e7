"""Measure our tracker beside ByteTrack on real clips of 44 seconds whose detections were labelled by eye.

    python -m experiments.video.labelled_clips --eval ../shared/eval

`labelled_clips.csv` says who is who. A detection shows the person of the row whose frames and rectangle hold its frame and
its center, if it is high enough; else it shows nobody. The rows were written after a look at contact sheets of all
detections (`experiments.inspect.track_strip`): false ones are a hand, the stars of a flag, and an eye taken for a face.

The clips have no cuts. So they are measured as they are, and once more as a montage: shots of two seconds of all clips in
turn, one after another, so that everybody comes back after each cut. Nothing is chosen on these clips.
The script writes experiments/results/video/labelled_clips.json.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, add_eval_option, make_parser, save_report
from experiments.video.simulated_crowds import NOBODY
from experiments.video.trackers import NO_TRACK, Measured, Tracker, all_trackers, mfn_without_looks, standard_measures
from mfn.inference.model_zoo import DEFAULT_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from mfn.video.reader import read_frames
from mfn.video.shots import shot_boundaries, thumbnail, thumbnail_change
from mfn.video.tracking.looks import LooksOfClip

RESULT = RESULTS / "video" / "labelled_clips.json"
LABELS = Path(__file__).with_suffix(".csv")
SHOT_S = 2.0


class LabelledClip(NamedTuple):
    """Hold the detections of a clip of F frames, N rows by frame, and who they show."""

    faces: Faces
    person: NDArray[np.int64]  # (N,) NOBODY for a false detection
    time_s: NDArray[np.float64]  # (F,)
    cuts: NDArray[np.bool_]  # (F,)
    looks: NDArray[np.float32]  # (N, K)


def read_labels(path: Path = LABELS) -> list[dict[str, str]]:
    """Read the table of labels."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def person_of(faces: Faces, clip: str, labels: Sequence[dict[str, str]]) -> NDArray[np.int64]:
    """Return the person (N,) that each detection of a clip shows."""
    person = np.full(len(faces), NOBODY, np.int64)
    center, height = (faces.box[:, :2] + faces.box[:, 2:]) / 2, faces.box[:, 3] - faces.box[:, 1]
    for row in labels:
        if row["clip"] == clip:
            low, high = np.array([row["x1"], row["y1"]], float), np.array([row["x2"], row["y2"]], float)
            inside = ((center >= low) & (center < high)).all(1) & (height >= float(row["min_height_px"]))
            inside &= (faces.image >= int(row["first_frame"])) & (faces.image <= int(row["last_frame"]))
            person[inside] = int(row["person"])
    return person


def detect(path: Path, predictor: Predictor, labels: Sequence[dict[str, str]]) -> LabelledClip:
    """Detect the faces of a clip and label them."""
    found, times, change, last, looks = [Faces.empty()], [], [], None, LooksOfClip()
    for number, (time_s, frame) in enumerate(read_frames(path)):
        faces = predictor(frame, video=True)
        looks.add(frame, faces, time_s)
        found.append(faces.replace(image=np.full(len(faces), number, np.int32)))
        current = thumbnail(frame)
        times.append(time_s)
        change.append(thumbnail_change(last, current))
        last = current
    faces = Faces.concatenate(found)
    return LabelledClip(faces, person_of(faces, path.stem, labels), np.array(times), shot_boundaries(np.array(change)), looks.numbers())


def load(path: Path, predictor: Predictor, labels: Sequence[dict[str, str]], cache: Path | None) -> LabelledClip:
    """Detect the faces of a clip, or read them from the cache folder and write them there."""
    file = None if cache is None else cache / f"{path.stem}.npz"
    if file is not None and file.is_file():
        with np.load(file) as data:
            faces = Faces(**{name: data[name] for name in data.files if name not in ("time_s", "cuts", "looks")})
            return LabelledClip(faces, person_of(faces, path.stem, labels), data["time_s"], data["cuts"], data["looks"])
    clip = detect(path, predictor, labels)
    if file is not None:
        arrays = {name: getattr(clip.faces, name) for name in ("image", "box", "score", "rotation", "scale", "center", "identity")}
        arrays |= {"expression": clip.faces.expression, "track": clip.faces.track}
        np.savez(file, time_s=clip.time_s, cuts=clip.cuts, looks=clip.looks, **arrays)
    return clip


def montage(clips: Sequence[LabelledClip]) -> LabelledClip:
    """Cut clips into shots of SHOT_S and put them behind one another, the first shot of each clip first."""
    shots = [(int(second // SHOT_S), index) for index, clip in enumerate(clips) for second in np.arange(0, clip.time_s[-1], SHOT_S)]
    faces, person, looks, times, cuts, end_s = [Faces.empty()], [], [], list[float](), list[bool](), 0.0
    for number, index in sorted(shots):
        clip = clips[index]
        frames = np.flatnonzero((clip.time_s >= number * SHOT_S) & (clip.time_s < (number + 1) * SHOT_S))
        rows = np.isin(clip.faces.image, frames)
        faces.append(clip.faces[rows].replace(image=clip.faces.image[rows] - frames[0] + len(times)))
        person.append(clip.person[rows])
        looks.append(clip.looks[rows])
        cuts += [bool(times)] + [False] * (len(frames) - 1)
        times += (clip.time_s[frames] - clip.time_s[frames[0]] + end_s).tolist()
        end_s = times[-1] + float(np.median(np.diff(clip.time_s)))
    return LabelledClip(Faces.concatenate(faces), np.concatenate(person), np.array(times), np.array(cuts), np.concatenate(looks))


def track(tracker: Tracker, clip: LabelledClip) -> Measured:
    """Track a clip."""
    return Measured(clip.faces.image.astype(np.int64), clip.person, tracker(clip.faces, clip.time_s, clip.cuts, clip.looks))


def count_tracks(measured: Measured) -> int:
    """Count the tracks."""
    return len(np.unique(measured.track[measured.track != NO_TRACK]))


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    add_eval_option(parser)
    parser.add_argument("--cache", type=Path, help="folder in which detections are kept, for another run")
    args = parser.parse_args()
    labels = read_labels()
    names = list(dict.fromkeys(row["clip"] for row in labels))
    predictor = Predictor.load(DEFAULT_WEIGHTS, threads=1)
    clips = {name: load(args.eval / "clips" / f"{name}.mp4", predictor, labels, args.cache) for name in names}
    together = montage(list(clips.values()))
    figures: Figures = {}
    for name, tracker in (all_trackers() | {"mfn without looks": mfn_without_looks}).items():
        measured = {clip: track(tracker, found) for clip, found in clips.items()}
        figures[name] = {
            "tracks": {clip: count_tracks(result) for clip, result in measured.items()},
            "clips": standard_measures(list(measured.values())),
            "montage": standard_measures([track(tracker, together)]),
        }
        print(name, figures[name], flush=True)
    people = {clip: len(np.unique(found.person[found.person != NOBODY])) for clip, found in clips.items()}
    seconds = round(sum(float(clip.time_s[-1]) for clip in clips.values()), 1)
    report = {"clip_length_s": seconds, "people": people, "shots_of_the_montage": int(together.cuts.sum()) + 1, "trackers": figures}
    save_report(args, __file__, report, DEFAULT_WEIGHTS)


if __name__ == "__main__":
    main()
