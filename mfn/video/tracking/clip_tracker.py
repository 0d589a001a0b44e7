"""Track the people of a whole clip, by position, size, motion and identity.

Step 1 links faces from frame to frame (`link`): the result is tracklets. Step 2 drops the pieces of tracklets that look
like false detections (`pieces`). Step 3 joins the tracklets of one person, before and after a gap or a cut (`join`).
Every comparison is a log likelihood ratio: the same person against any other.

Letters: F frames, N faces of all frames together, n faces of one frame, T tracklets, I identity coefficients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.video.tracking.join import SeenLooks, join_tracklets
from mfn.video.tracking.likeness import estimate_likeness, prior_likeness
from mfn.video.tracking.link import FrameTimes, link_frames
from mfn.video.tracking.looks import default_looks
from mfn.video.tracking.pieces import is_person


def track_clip(
    faces: Faces,
    time_s: NDArray[Any],
    cuts: NDArray[np.bool_] | None = None,
    people: int | None = None,
    *,
    looks: NDArray[np.float32] | None = None,
    drop_false: bool = True,
) -> Faces:
    """Give the faces of each person the same number, and drop false detections.

    Args:
        faces: N faces of a clip; `image` is the frame.
        time_s: (F,) time of each frame, seconds.
        cuts: (F,) True where a new shot begins. Motion does not link faces across a cut.
        people: How many people the clip shows. Tracks are then joined more readily until so many remain. None: unknown.
        looks: (N, K) what `mfn.video.tracking.looks.default_looks` describes, NaN where a face was not looked at. It tells people
            of different shots apart. None: identities alone do.
        drop_false: Whether to drop false detections. False keeps all N faces: for a burst of photos, where a person may
            be in one of them only.

    Returns:
        The faces of people, ordered by frame, with `track` set: 0, 1, ... in the order of appearance.
    """
    order = np.argsort(faces.image, kind="stable")
    faces = faces[order]
    if not len(faces):
        return faces
    times = FrameTimes(np.asarray(time_s, np.float64), np.zeros(len(time_s), int) if cuts is None else np.cumsum(cuts))
    prior = prior_likeness(faces)
    links = link_frames(faces, times, prior, use_identity=False)
    likeness = estimate_likeness(faces, links.tracklet, prior)
    links = link_frames(faces, times, likeness, use_identity=True)
    kept = is_person(faces, links.tracklet, times.time_s) if drop_false else np.ones(len(faces), np.bool_)
    faces, links = faces[kept], links.select(kept)
    if not len(faces):
        return faces
    likeness = estimate_likeness(faces, links.tracklet, prior)
    seen = None if looks is None else SeenLooks(looks[order][kept], default_looks())
    return faces.replace(track=join_tracklets(faces, links, times, likeness, people, seen))


