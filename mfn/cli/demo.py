"""`mfn demo`: a crowd whose faces are known, through the whole path, and what came back against what went in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mfn.animation.photo import faces_json, pose_deg, shoot, write_shot
from mfn.inference.predictor import Predictor
from mfn.inference.visualize import draw_faces
from mfn.structures.boxes import box_iou
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.appearance import palette_appearances
from mfn.synthesis.crowd import backdrop, paint_crowd, random_crowd
from retarget.io.files import atomic_write, make_folder
from retarget.io.images import write_image
from retarget.rig.avatars import find_avatar

SIZE = (1280, 720)
LEAST_IOU = 0.4


def demo(predictor: Predictor, out: str | Path, people: int, seed: int, avatars: Sequence[str | None]) -> int:
    """Renders, finds, compares, writes. -> exit code"""
    from retarget import load_rig

    if not 1 <= people <= 500:
        raise ValueError(f"--people {people}: expected 1 to 500")
    if seed < 0:
        raise ValueError(f"--seed {seed}: expected 0 or more")
    random = np.random.default_rng(seed)
    head_model = HeadModel.load()
    rigs = [load_rig(find_avatar(name)) for name in (avatars or [None])]
    out = make_folder(out)
    true = random_crowd(head_model, people, SIZE, random)
    picture = backdrop(SIZE[1], SIZE[0], random)
    paint_crowd(picture, true, head_model, palette_appearances(people, random))
    found = predictor(picture)
    print("\n".join(report(true, found, head_model)))
    write_image(out / "crowd.png", picture)
    atomic_write(out / "crowd.faces.json", faces_json("crowd.png", picture, found).encode())
    write_image(out / "crowd.faces.png", draw_faces(picture, found, head_model))
    written = [out / "crowd.png", out / "crowd.faces.json", out / "crowd.faces.png"]
    if len(found):
        written += write_shot(shoot(found, picture), rigs, out / "crowd.characters.glb")
    print("wrote " + ", ".join(map(str, written)))
    return 0


def match(true: Faces, found: Faces, least_iou: float = LEAST_IOU) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of `true` and of `found` that are one face: greedily by overlap, each row once, IoU at least `least_iou`."""
    overlap = box_iou(true.box, found.box)
    pairs: list[tuple[int, int]] = []
    while overlap.size and overlap.max() >= least_iou:
        row, column = (int(k) for k in np.unravel_index(overlap.argmax(), overlap.shape))
        pairs.append((row, column))
        overlap[row], overlap[:, column] = -1, -1
    rows = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def report(true: Faces, found: Faces, head_model: HeadModel) -> list[str]:
    """Recovered against true, in lines: a row for each person, then the means."""
    a, b = match(true, found)
    t, f = true[a], found[b]
    lines = [f"{len(true)} people rendered, {len(a)} found, {len(found) - len(b)} false"]
    if not len(a):
        return lines
    iou = np.diag(box_iou(t.box, f.box))
    angle_true, angle_found = pose_deg(t), pose_deg(f)
    wrong = np.abs((angle_found - angle_true + 180) % 360 - 180)
    expression = np.abs(t.expression - f.expression)
    nme = landmark_nme(t, f, head_model)
    lines.append("person   IoU   pitch true/found   yaw true/found   roll true/found   expression error   68-point NME")
    for k in range(len(a)):
        pose = "".join(f"{round(float(p)):+11d} /{round(float(q)):+4d}" for p, q in zip(angle_true[k], angle_found[k]))
        lines.append(f"{a[k]:6d}  {iou[k]:.2f} {pose} {expression[k].mean():18.3f} {nme[k]:13.1f} %")
    pitch, yaw, roll = wrong.mean(0)
    pose = f"error of pitch {pitch:.1f}, yaw {yaw:.1f}, roll {roll:.1f} deg"
    none = t.expression.mean()
    faces = f"expression {expression.mean():.3f} (a neutral guess: {none:.3f}), 68-point NME {nme.mean():.2f} %"
    return [*lines, f"mean: box IoU {iou.mean():.2f}, {pose}, {faces}"]


def landmark_nme(true: Faces, found: Faces, head_model: HeadModel) -> NDArray:
    """(N,) mean distance of the 68 points over sqrt(w h) of the true points' box, in percent."""
    p, q = (head_model.landmarks(faces, "ibug68")[..., :2] for faces in (true, found))
    return np.linalg.norm(p - q, axis=2).mean(1) / np.sqrt(np.ptp(p, axis=1).prod(1)) * 100
