"""Learn where on our head the 68 points lie that a landmark program set on photos, and write them as the landmark set photo68.

    python -m experiments.labels.photo_points --data ../shared/data --labels runs/labels
    python -m experiments.labels.photo_points --data ../shared/data --labels runs/labels --write

The labels of the youtube pack are heads that were fitted to MediaPipe's points, without the 68. Each of the 68 becomes the point of our
surface whose projection is nearest to the pack's 68 points, on average over the faces. Left and right points are mirror images; the
points of the middle stay there. The jaw line of the pack follows the visible contour. So each side of it is learned from faces that look
ahead or show this side: there the contour is the jaw itself, and a turn tells how deep the points lie.

Two thirds of the people teach, the others test. The script prints the error of ibug68, which lies at ICT-FaceKit's 68 vertices, and of
photo68 on the people that test. With --write it learns from all people and writes mfn/weights/photo68.npz.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, make_parser, save_report
from experiments.head_model.points import MIRROR_68
from experiments.labels.landmark_packs import read_landmark_pack
from mfn.structures.camera import euler_from_rotation, project
from mfn.structures.head_model import HeadModel
from mfn.structures.head_model.file import PHOTO68_FILE
from retarget.io.files import atomic_write

RESULT = RESULTS / "labels" / "photo_points.json"
JAW = range(17)
CHIN = 8  # 0 to 7 lie on the subject's right side, 9 to 16 on the left
AHEAD_DEG, AWAY_DEG, TURNED_DEG = 15.0, 5.0, 40.0  # largest yaw: of a face that looks ahead; away from a jaw point; of any face
MAX_ERROR = 0.15  # of the face's size; above it, the points belong to another face of the picture
STEPS = 6  # of the weights inside a triangle
RINGS = 2  # triangles around the best vertex that are searched
VISIBLE = ("face", "lids", "lips", "brows", "nostrils", "neck", "ears")
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Photos(NamedTuple):
    """Hold F fitted heads and the points that a photo shows.

    vertices: (F, V, 2) projections of the mesh, px; points: (F, 68, 2) px; size: (F,) of the face, px; yaw_deg: (F,),
    positive if the face turns to the picture's left and shows the subject's left side; person: (F,).
    """

    vertices: NDArray[np.float32]
    points: Floats
    size: Floats
    yaw_deg: Floats
    person: Ints

    def rows(self, keep: NDArray[np.bool_]) -> Photos:
        """Return some of the faces."""
        return Photos(*(part[keep] for part in self))


class SurfaceSet(NamedTuple):
    """Hold points of the surface: vertices (L, 3) and their weights (L, 3)."""

    corners: Ints
    weights: Floats


def read_photos(data: Path, labels: Path, model: HeadModel) -> Photos:
    """Return the faces of the youtube pack that have both a fitted head and 68 points."""
    with np.load(labels / "youtube.npz", allow_pickle=False) as file:
        fitted = {name: file[name] for name in file.files}
    with np.load(data / "faces" / "youtube_landmarks68.npz", allow_pickle=False) as file:
        points_of = dict(zip(file["picture"].tolist(), file["landmarks"].astype(np.float64), strict=True))
    picture = read_landmark_pack(data, "youtube").arrays["face_picture"][fitted["face"]]
    usable = fitted["ok"] & (fitted["person"] >= 0) & np.isin(picture, list(points_of))
    rows = np.flatnonzero(usable)
    points = np.stack([points_of[number] for number in picture[rows].tolist()])
    size = np.sqrt(np.prod(points.max(1) - points.min(1), axis=1))
    vertices = []
    for row in rows:
        head = model.vertices(fitted["identity"][row : row + 1], fitted["expression"][row : row + 1])
        camera = (fitted[name][row : row + 1] for name in ("rotation", "scale", "center"))
        vertices.append(project(head, *camera)[0, :, :2].astype(np.float32))
    yaw = np.array([euler_from_rotation(rotation)[1] for rotation in fitted["rotation"][rows]])
    photos = Photos(np.stack(vertices), points, size, np.degrees(yaw), fitted["person"][rows].astype(np.int64))
    error = errors(photos, *model.landmark_sets["ibug68"]).mean(1)
    return photos.rows(error < MAX_ERROR)


def errors(photos: Photos, corners: NDArray[np.integer], weights: NDArray[np.floating]) -> Floats:
    """Return the distance of each point to the photo's, as a share of the face's size: (F, 68)."""
    found = (photos.vertices[:, corners].astype(np.float64) * weights[..., None]).sum(2)
    return np.asarray(np.linalg.norm(found - photos.points, axis=2) / photos.size[:, None])


def teaches(photos: Photos, point: int) -> NDArray[np.bool_]:
    """Return which faces teach where one of the 68 points lies (F,)."""
    if point not in JAW:
        return np.asarray(np.abs(photos.yaw_deg) < TURNED_DEG)
    if point == CHIN:
        return np.asarray(np.abs(photos.yaw_deg) < AHEAD_DEG)
    to_the_point = photos.yaw_deg if point > CHIN else -photos.yaw_deg
    return np.asarray((to_the_point > -AWAY_DEG) & (to_the_point < TURNED_DEG))


def mean_distance(photos: Photos, point: int, corners: Ints, weights: Floats) -> Floats:
    """Return how far each of C candidates (C, 3) lies from one of the 68 points, on average over the faces that teach it."""
    seen = teaches(photos, point)
    found = (photos.vertices[seen][:, corners] * weights[..., None].astype(np.float32)).sum(2)
    distance = np.linalg.norm(found - photos.points[seen, point, None].astype(np.float32), axis=2)
    return np.asarray((distance / photos.size[seen, None]).mean(0), np.float64)


def learn_points(photos: Photos, model: HeadModel) -> SurfaceSet:
    """Find for each of the 68 points the place on the surface that is nearest to it, the same on both sides of the head."""
    names = [model.region_names.index(name) for name in VISIBLE if name in model.region_names]
    visible = np.isin(model.region, names)
    triangles = model.triangles[visible[model.triangles].all(1)].astype(np.int64)
    mirror = model.mirror.astype(np.int64)
    corners, weights = np.zeros((68, 3), np.int64), np.zeros((68, 3))
    for point, twin in enumerate(MIRROR_68):
        if twin < point:
            continue

        def distance(places: Ints, shares: Floats, point: int = point, twin: int = twin) -> Floats:
            return mean_distance(photos, point, places, shares) + mean_distance(photos, twin, mirror[places], shares)

        vertex = np.flatnonzero(visible & ((mirror == np.arange(len(mirror))) | (point != twin)))
        best = vertex[distance(np.repeat(vertex[:, None], 3, 1), np.tile([1.0, 0, 0], (len(vertex), 1))).argmin()]
        places, shares = candidates(triangles, int(best), mirror if point == twin else None)
        row = int(distance(places, shares).argmin())
        corners[point], weights[point] = places[row], shares[row]
        corners[twin], weights[twin] = mirror[places[row]], shares[row]
    return SurfaceSet(corners, weights)


def candidates(triangles: Ints, vertex: int, mirror: Ints | None) -> tuple[Ints, Floats]:
    """Return places of the triangles around a vertex: corners (C, 3) and weights (C, 3). With `mirror`, places of the middle line only."""
    around = np.array([vertex])
    for _ in range(RINGS):
        near = triangles[np.isin(triangles, around).any(1)]
        around = np.unique(near)
    if mirror is not None:
        edges = np.concatenate([near[:, [0, 1, 1]], near[:, [1, 2, 2]], near[:, [2, 0, 0]]])
        near = edges[(mirror[edges] == edges).all(1)]
    step = np.arange(STEPS + 1) / STEPS
    shares = np.array([(a, b, 1 - a - b) for a in step for b in step if a + b <= 1 + 1e-9])
    return np.repeat(near, len(shares), 0), np.tile(shares, (len(near), 1))


def figures_of(photos: Photos, corners: NDArray[np.integer], weights: NDArray[np.floating]) -> Figures:
    """Return the mean error of all points, of the visible side of the jaw line, and of the other points, in percent of the face's size."""
    error = errors(photos, corners, weights)
    jaw = np.concatenate([error[teaches(photos, point), point] for point in JAW])
    return {
        "faces": len(error),
        "nme": round(100 * float(error.mean()), 3),
        "visible_jaw": round(100 * float(jaw.mean()), 3),
        "other_points": round(100 * float(error[:, len(JAW) :].mean()), 3),
    }


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the labels that experiments.labels.fit wrote")
    parser.add_argument("--write", action="store_true", help="write mfn/weights/photo68.npz")
    args = parser.parse_args()
    model = HeadModel.load()
    photos = read_photos(args.data, args.labels, model)
    tests = photos.person % 3 == 0
    learned = learn_points(photos.rows(~tests), model)
    figures: Figures = {
        "people_that_teach": len(np.unique(photos.person[~tests])),
        "people_that_test": len(np.unique(photos.person[tests])),
        "ibug68": figures_of(photos.rows(tests), *model.landmark_sets["ibug68"]),
        "photo68": figures_of(photos.rows(tests), *learned),
    }
    print(figures)
    if args.write:
        learned = learn_points(photos, model)
        points = {"vertex": learned.corners.astype(np.int32), "weight": learned.weights.astype(np.float32)}
        arrays = points | {"vertices": np.int32(len(model.mean))}
        atomic_write(PHOTO68_FILE, lambda path: np.savez_compressed(path, **arrays))
    save_report(args, __file__, figures)


if __name__ == "__main__":
    main()
