"""Run trackers on detections: ours, and ByteTrack of the package `trackers` as a peer; measure them with motmetrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.common import Figures
from experiments.video.simulated_crowds import NOBODY
from mfn.structures.faces import Faces
from mfn.video.tracking.clip_tracker import track_clip

NO_TRACK = -1
BYTETRACK_SETTINGS = {  # apart from its own: our detector's threshold instead of .7, our longest gap of 1.5 s instead of 1
    "bytetrack": {},
    "bytetrack, activation .55, buffer 45": {"track_activation_threshold": 0.55, "high_conf_det_threshold": 0.55, "lost_track_buffer": 45},
}

Tracker = Callable[[Faces, NDArray[np.float64], NDArray[np.bool_], NDArray[np.float32] | None], NDArray[np.int64]]
"""From faces (N, by frame), times (F,) in s, shot boundaries (F,) and looks (N, K) to the track (N,) of each face, NO_TRACK for none."""


class Measured(NamedTuple):
    """Hold the tracks of a clip's detections beside the truth, N rows by frame."""

    frame: NDArray[np.int64]
    person: NDArray[np.int64]  # NOBODY for a false detection
    track: NDArray[np.int64]  # NO_TRACK for a dropped face


def mfn(
    faces: Faces, time_s: NDArray[np.float64], cuts: NDArray[np.bool_], looks: NDArray[np.float32] | None = None
) -> NDArray[np.int64]:
    """Track with `mfn.video.tracking.clip_tracker`."""
    # The row number travels along as one more expression weight, so that the kept rows are known.
    numbered = faces.expression.astype(np.float64).copy()
    numbered[:, 0] = np.arange(len(faces))
    kept = track_clip(faces.replace(expression=numbered), time_s, cuts, looks=looks)
    track = np.full(len(faces), NO_TRACK, np.int64)
    track[kept.expression[:, 0].astype(np.int64)] = kept.track
    return track


def mfn_without_looks(
    faces: Faces, time_s: NDArray[np.float64], cuts: NDArray[np.bool_], looks: NDArray[np.float32] | None = None
) -> NDArray[np.int64]:
    """Track by identity and motion alone."""
    return mfn(faces, time_s, cuts)


def bytetrack(settings: dict[str, Any]) -> Tracker:
    """Return ByteTrack with settings. It works frame by frame and does not know of cuts.

    Raises:
        ImportError: The package `trackers` is missing.
    """
    try:
        from supervision import Detections
        from trackers import ByteTrackTracker
    except ImportError as error:
        raise ImportError('ByteTrack needs the package trackers: pip install ".[dev]"') from error

    def run(
        faces: Faces, time_s: NDArray[np.float64], cuts: NDArray[np.bool_], looks: NDArray[np.float32] | None = None
    ) -> NDArray[np.int64]:
        rate = 1 / float(np.median(np.diff(time_s)))
        tracker, track = ByteTrackTracker(frame_rate=rate, **settings), np.full(len(faces), NO_TRACK, np.int64)
        for frame in range(len(time_s)):
            rows = np.flatnonzero(faces.image == frame)
            found = Detections(xyxy=faces.box[rows], confidence=faces.score[rows], class_id=np.zeros(len(rows), int), data={"row": rows})
            tracked = tracker.update(found)
            if len(tracked):
                track[np.asarray(tracked.data["row"], int)] = np.asarray(tracked.tracker_id, int)
        return track

    return run


def all_trackers() -> dict[str, Tracker]:
    """Return ours and the peers by name."""
    return {"mfn": mfn} | {name: bytetrack(settings) for name, settings in BYTETRACK_SETTINGS.items()}


def hota(clips: Sequence[Measured]) -> Figures:
    """Return HOTA and its two parts over several clips together (Luiten et al., IJCV 2021).

    A track matches the person whose face it holds, so the overlap of a match is 1 and all thresholds give the same. For each
    match, the association is the share of frames in which both track and person are seen together, of those with either.
    """
    matched = missed = false = 0
    association = 0.0
    for clip in clips:
        is_person, is_tracked = clip.person != NOBODY, clip.track != NO_TRACK
        both = is_person & is_tracked
        people, person = np.unique(clip.person[both], return_inverse=True)
        tracks, track = np.unique(clip.track[both], return_inverse=True)
        together = np.zeros((len(people), len(tracks)))
        np.add.at(together, (person, track), 1)
        of_person = np.array([(clip.person == one).sum() for one in people], float)[:, None]
        of_track = np.array([(clip.track == one).sum() for one in tracks], float)[None]
        association += float((together**2 / np.maximum(of_person + of_track - together, 1)).sum())
        matched, missed, false = matched + both.sum(), missed + (is_person & ~is_tracked).sum(), false + (is_tracked & ~is_person).sum()
    detection, associated = matched / max(matched + missed + false, 1), association / max(matched, 1)
    return {
        "hota": round(float(np.sqrt(detection * associated)), 4),
        "detection_accuracy": round(float(detection), 4),
        "association_accuracy": round(float(associated), 4),
    }


def standard_measures(clips: Sequence[Measured]) -> Figures:
    """Return HOTA, IDF1, MOTA and identity switches over several clips together, and counts of people and tracks.

    The objects are the detected faces of people, so a face that the network missed does not count. A false detection that
    is tracked is a false positive; a person's face without a track is a miss.
    """
    try:
        import motmetrics
    except ImportError as error:
        raise ImportError('IDF1 and MOTA need motmetrics: pip install ".[dev]"') from error
    names = ["idf1", "mota", "num_switches", "num_misses", "num_false_positives"]
    summary = motmetrics.metrics.create().compute_many([events(clip) for clip in clips], metrics=names, generate_overall=True)
    overall = summary.loc["OVERALL"]
    people = [len(np.unique(clip.person[clip.person != NOBODY])) for clip in clips]
    tracks = [len(np.unique(clip.track[clip.track != NO_TRACK])) for clip in clips]
    return {
        **hota(clips),
        "idf1": round(float(overall["idf1"]), 4),
        "mota": round(float(overall["mota"]), 4),
        "switches": int(overall["num_switches"]),
        "missed": int(overall["num_misses"]),
        "false_positives": int(overall["num_false_positives"]),
        "people_mean": round(float(np.mean(people)), 2),
        "tracks_mean": round(float(np.mean(tracks)), 2),
        "tracks_of_nobody": sum(_tracks_of_nobody(clip) for clip in clips),
        "tracks_of_several": sum(_tracks_of_several(clip) for clip in clips),
    }


def events(clip: Measured) -> Any:
    """Collect the events of a tracked clip for motmetrics. A track matches the person whose face it holds."""
    import motmetrics

    collected = motmetrics.MOTAccumulator(auto_id=True)
    for frame in np.unique(clip.frame):
        rows = clip.frame == frame
        objects, tracked = clip.person[rows & (clip.person != NOBODY)], rows & (clip.track != NO_TRACK)
        distance = np.where(objects[:, None] == clip.person[tracked], 0.0, np.nan)
        collected.update(objects.tolist(), clip.track[tracked].tolist(), distance)
    return collected


def _tracks_of_nobody(clip: Measured) -> int:
    """Count the tracks most of whose faces are false detections."""
    tracks = np.unique(clip.track[clip.track != NO_TRACK])
    return sum(bool((clip.person[clip.track == track] == NOBODY).mean() > 0.5) for track in tracks)


def _tracks_of_several(clip: Measured) -> int:
    """Count the tracks of which more than a tenth shows another person than the main one."""
    count = 0
    for track in np.unique(clip.track[clip.track != NO_TRACK]):
        person = clip.person[(clip.track == track) & (clip.person != NOBODY)]
        if len(person):
            count += bool(np.unique(person, return_counts=True)[1].max() < 0.9 * len(person))
    return count
