"""Simulate what the network reports of clips whose people are known: they cross, hide, leave and come back, and there are cuts.

Boxes have noise. Faces are missed at random, and the occluded one of two overlapping faces is missed. A fifth of the people
are hard to detect: their scores are low, and they are missed more often. False detections come like those of hands and
patterns: their scores are low and they flicker. Identity coefficients vary as `experiments.video.identity` measures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.decode import SCORE
from mfn.structures.boxes import box_iou
from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import Faces

FPS, WIDTH_PX, HEIGHT_PX = 30, 1280, 720
BETWEEN_SD = 0.1  # of an identity coefficient between people
WITHIN_SD = 0.05  # of an identity coefficient between one person's frames of one video
SHOT_SD = 0.043  # of what another shot adds: half way (geometric mean) to one person's frames of different videos
INDEPENDENT = 4  # dimensions in which errors and people differ; the 64 coefficients are mixtures of them
COEFFICIENTS = 64
SLOW_MEMORY = 0.97  # correlation of the slow part of an error from frame to frame
SLOW_SHARE, QUICK_SHARE = 0.8, 0.6  # of an error's standard deviation
BOX_SD, MISSED_SHARE = 0.02, 0.03  # of a box's side; of the faces
HIDDEN_IOU = 0.25  # the smaller of two faces that overlap more is hidden
EASY_SCORE, HARD_SCORE, FRAME_SCORE_SD = (0.88, 0.04), (0.70, 0.05), 0.03  # mean and SD over people; SD over frames
HARD_SHARE, HARD_MISSED_SHARE = 0.2, 0.2
FALSE_SCORE_ABOVE = 0.07  # mean of a false face's score above the threshold: half of them reach .60 (results/accuracy/false_faces.json)
FALSE_SECONDS, FALSE_SEEN_SHARE = (0.1, 2.0), (0.1, 0.7)  # how long a false face lasts, and the share of frames it is seen in
NOBODY = -1


class SimulatedClip(NamedTuple):
    """Hold what the network reports of a clip."""

    faces: Faces  # N rows
    person: NDArray[np.int64]  # (N,) the person of each; NOBODY for a false detection
    new_shot: NDArray[np.bool_]  # (F,) where a shot begins


class Walk(NamedTuple):
    """Hold the centers (F, P, 2) in px and heights (P,) in px of P faces in F frames."""

    center: NDArray[np.float64]
    height: NDArray[np.float64]


def walk(people: int, frames: int, rng: np.random.Generator) -> Walk:
    """Let everybody walk to and fro across the picture, and up and down a little."""
    t = np.arange(frames)[:, None] / FPS
    period = rng.uniform(8, 16, people)  # 4 to 8 head heights a second: they walk
    phase = rng.uniform(0, 2 * np.pi, people)
    x = WIDTH_PX * (0.5 + 0.47 * np.sin(2 * np.pi * t / period + phase))
    lane = HEIGHT_PX * rng.uniform(0.2, 0.8, people)
    y = lane + 25 * np.sin(2 * np.pi * t / rng.uniform(2, 5, people) + rng.uniform(0, 6, people))
    return Walk(np.stack([x, y], -1), rng.uniform(45, 75, people))


def shot_starts(frames: int, cuts: int) -> NDArray[np.bool_]:
    """Return where a shot begins (F,): shots are equally long."""
    new_shot = np.zeros(frames, bool)
    new_shot[[(cut + 1) * frames // (cuts + 1) for cut in range(cuts)]] = True
    return new_shot


def exchange_places(center: NDArray[np.float64], new_shot: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Exchange the people's places at each cut, in place."""
    for start in np.flatnonzero(new_shot):
        center[start:] = center[start:, rng.permutation(center.shape[1])]


def reported(
    box: NDArray[np.float64], height: NDArray[np.float64], missed: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose the faces (F, P) that the network reports.

    Args:
        box: (F, P, 4) px.
        height: (P,) px.
        missed: (P,) share of the frames in which a face is missed.
        rng: Random numbers.

    Each person is away once: a third of them for 2 to 4 seconds, the others for one. Of two faces that overlap the
    smaller one is hidden.
    """
    frames, people = box.shape[:2]
    visible = rng.random((frames, people)) > missed
    for person in range(people):
        length = rng.integers(2 * FPS, 4 * FPS) if person % 3 == 0 else FPS
        start = rng.integers(FPS, frames - length - FPS)
        visible[start : start + length, person] = False
    for frame in range(frames):
        covers = box_iou(box[frame], box[frame]) > HIDDEN_IOU
        visible[frame] &= ~(covers & (height[:, None] < height) & visible[frame]).any(1)
    return visible


def identities(people: int, new_shot: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the identity coefficients (F, P, COEFFICIENTS) that the network reports."""
    frames = len(new_shot)
    mixing = rng.normal(0, 1, (INDEPENDENT, COEFFICIENTS)) / np.sqrt(INDEPENDENT)
    true = rng.normal(0, BETWEEN_SD, (people, INDEPENDENT))
    of_shot = rng.normal(0, SHOT_SD, (int(new_shot.sum()) + 1, people, INDEPENDENT))[np.cumsum(new_shot)]
    slow = np.zeros((frames, people, INDEPENDENT))
    slow[0] = rng.normal(0, 1, (people, INDEPENDENT))
    for frame in range(1, frames):
        step = np.sqrt(1 - SLOW_MEMORY**2) * rng.normal(0, 1, (people, INDEPENDENT))
        slow[frame] = SLOW_MEMORY * slow[frame - 1] + step
    quick = rng.normal(0, 1, slow.shape)
    return np.asarray((true + of_shot + WITHIN_SD * (SLOW_SHARE * slow + QUICK_SHARE * quick)) @ mixing)


def make_faces(frame: NDArray[np.int64], box: NDArray[np.float64], score: NDArray[np.float64], identity: NDArray[np.float64]) -> Faces:
    """Return faces of the given frames, boxes, scores and identities, without expression."""
    count, height = len(frame), box[:, 3] - box[:, 1]
    return Faces(
        image=frame.astype(np.int32),
        box=box.astype(np.float32),
        score=score.astype(np.float32),
        rotation=rotation_from_euler(np.zeros((count, 3), np.float32)),
        scale=(height / 0.2).astype(np.float32),
        center=((box[:, :2] + box[:, 2:]) / 2).astype(np.float32),
        identity=identity.astype(np.float32),
        expression=np.zeros((count, 51), np.float32),
        track=np.full(count, -1, np.int32),
    )


def false_faces(count: int, frames: int, rng: np.random.Generator) -> Faces:
    """Return the detections of `count` false faces: each drifts slowly, flickers, and has low scores."""
    found = [Faces.empty(COEFFICIENTS)]
    for _ in range(count):
        length = round(FPS * rng.uniform(*FALSE_SECONDS))
        start = rng.integers(0, max(frames - length, 1))
        seen = start + np.flatnonzero(rng.random(length) < rng.uniform(*FALSE_SEEN_SHARE))
        center = rng.uniform((60, 60), (WIDTH_PX - 60, HEIGHT_PX - 60)) + rng.normal(0, 30, 2) * (seen - start)[:, None] / FPS
        half = np.array([0.4, 0.5]) * rng.uniform(35, 110)
        box = np.concatenate([center - half, center + half], 1) + rng.normal(0, 4, (len(seen), 4))
        score = SCORE + rng.exponential(FALSE_SCORE_ABOVE, len(seen))
        identity = rng.normal(0, BETWEEN_SD, COEFFICIENTS) + rng.normal(0, 2 * WITHIN_SD, (len(seen), COEFFICIENTS))
        found.append(make_faces(seen, box, np.minimum(score, 0.9), identity))
    return Faces.concatenate(found)


def simulate(people: int, frames: int, seed: int, cuts: int, false: int = 0, dialogue: bool = False) -> SimulatedClip:
    """Simulate one clip. The faces of a frame come in random order.

    Args:
        people: Number of people.
        frames: Number of frames.
        seed: Of the random numbers.
        cuts: Number of cuts, at which everybody's place changes.
        false: Number of false faces.
        dialogue: Show one person in each shot, in turn, and nobody leaves.
    """
    rng = np.random.default_rng(seed)
    center, height = walk(people, frames, rng)
    new_shot = shot_starts(frames, cuts)
    exchange_places(center, new_shot, rng)
    half = np.stack([0.4 * height, 0.5 * height], -1)
    box = np.concatenate([center - half, center + half], -1)
    hard = rng.random(people) < HARD_SHARE
    missed = np.where(hard, HARD_MISSED_SHARE, MISSED_SHARE)
    if dialogue:
        visible = (np.cumsum(new_shot)[:, None] % people == np.arange(people)) & (rng.random((frames, people)) > missed)
    else:
        visible = reported(box, height, missed, rng)
    usual = np.where(hard, rng.normal(*HARD_SCORE, people), rng.normal(*EASY_SCORE, people))
    score = np.minimum(usual + rng.normal(0, FRAME_SCORE_SD, (frames, people)), 0.98)
    frame, person = np.nonzero(visible & (score > SCORE))
    shaken = box[frame, person] + rng.normal(0, BOX_SD, (len(frame), 4)) * height[person, None]
    true = make_faces(frame, shaken, score[frame, person], identities(people, new_shot, rng)[frame, person])
    wrong = false_faces(false, frames, rng)
    faces, person = Faces.concatenate([true, wrong]), np.append(person, np.full(len(wrong), NOBODY))
    order = rng.permutation(len(faces))
    order = order[np.argsort(faces.image[order], kind="stable")]
    return SimulatedClip(faces[order], person[order], new_shot)
