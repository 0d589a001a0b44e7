"""`mfn annotate` with a teacher made by code: what it writes is read back as a pack, it goes on after a stop, bad photos are not fatal."""

from pathlib import Path

import numpy as np
import pytest
import torch

import mfn.fitting.landmarker
from mfn.fitting.annotate import AnnotateOptions, annotate
from mfn.fitting.landmarker import LandmarkResult, consensus, mirror_scores
from mfn.structures.camera import project
from mfn.structures.head_model import HeadModel
from mfn.training.data.packs import read_pack
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import write_image

SHARED = Path(__file__).parents[3].parent / "shared"
TASK = SHARED / "data" / "face_landmarker_v2_with_blendshapes.task"
NAMES = ["_neutral", *EXPRESSION_NAMES]


class Teacher:
    """Sees in every picture the mean head, as large as the picture's mean gray says; nothing in a black one."""

    calls = 0

    def __init__(self, path: str) -> None:
        self.names = NAMES

    def __enter__(self) -> "Teacher":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, picture: np.ndarray, single: bool = False) -> LandmarkResult:
        Teacher.calls += 1
        level = float(picture.mean())
        count = int(level > 1)
        rotation = np.tile(np.diag([1.0, -1.0, -1.0]).astype(np.float32), (count, 1, 1))
        head = HeadModel.load().landmark_basis("mediapipe478")[0][None].repeat(count, 0)
        points = project(head, rotation, np.full(count, 4 * level), np.full((count, 2), 100.0))
        return LandmarkResult(points.astype(np.float32), np.zeros((count, 52), np.float32), rotation)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.set_num_threads(1)
    monkeypatch.setattr(mfn.fitting.landmarker, "Landmarker", Teacher)
    Teacher.calls = 0
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, level in enumerate((150, 0, 200)):
        write_image(folder / f"{number}.png", np.full((200, 220, 3), level, np.uint8))
    (folder / "bad.png").write_bytes(b"not a picture")
    return folder


QUICK = AnnotateOptions("teacher.task", second_look=False, quiet=True)


def test_pack_is_read_back(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "mine" / "faces.npz"
    assert annotate(None, [str(photos)], out, QUICK) == 0
    assert "bad.png" in capsys.readouterr().err
    pack = read_pack(out.parent, out.parent / "labels", "faces")
    assert len(pack.pictures) == 3 and pack.pictures[0].shape == (200, 220, 3)
    assert pack.faces.image.tolist() == [0, 2] and pack.has_labels.all()
    assert np.allclose(pack.faces.scale, [600, 800], rtol=0.1) and np.allclose(pack.faces.center, 100, atol=6)
    assert not out.with_suffix(".parts").exists()


def test_goes_on_after_a_stop(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, see = tmp_path / "faces.npz", Teacher.__call__

    def stop(self: Teacher, picture: np.ndarray, single: bool = False) -> LandmarkResult:
        if Teacher.calls == 2:
            raise KeyboardInterrupt
        return see(self, picture, single)

    monkeypatch.setattr(Teacher, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        annotate(None, [str(photos)], out, QUICK)
    assert not out.exists()
    monkeypatch.setattr(Teacher, "__call__", see)
    assert annotate(None, [str(photos)], out, QUICK) == 0
    assert Teacher.calls == 3 and out.is_file()  # two before the stop, the third after it


def test_one_folder_is_one_person(photos: Path, tmp_path: Path) -> None:
    annotate(None, [str(photos)], tmp_path / "faces.npz", QUICK._replace(people="folder"))
    with np.load(tmp_path / "labels" / "faces.npz") as labels:
        assert (labels["person"] == labels["person"][0]).all()
        assert np.abs(labels["identity"][0] - labels["identity"][1]).max() < 0.3  # it may wiggle a little


def test_bad_input_says_so(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="npz"):
        annotate(None, [str(photos)], tmp_path / "faces.json", QUICK)
    with pytest.raises(ValueError, match="expected unknown or folder"):
        annotate(None, [str(photos)], tmp_path / "faces.npz", QUICK._replace(people="all"))
    for longest in (0, 4000):  # 4000 px do not fit into 16 bits of 0.1 px
        with pytest.raises(ValueError, match=f"--longest {longest}: expected 64 to 3000 px"):
            annotate(None, [str(photos)], tmp_path / "faces.npz", QUICK._replace(longest=longest))
    with pytest.raises(ValueError, match="none of 1 photos"):
        annotate(None, [str(photos / "bad.png")], tmp_path / "faces.npz", QUICK)
    assert not list(tmp_path.glob("faces*"))


def test_agreement_leaves_the_odd_look_out() -> None:
    rng = np.random.default_rng(0)
    face = rng.uniform(0, 100, (478, 3)).astype(np.float32)
    looks = np.stack([face + rng.normal(0, 0.3, face.shape) for _ in range(4)] + [face[::-1]]).astype(np.float32)
    rotation = np.tile(np.diag([1.0, -1.0, -1.0]).astype(np.float32), (5, 1, 1))
    merged, apart = consensus(LandmarkResult(looks, np.zeros((5, 52), np.float32), rotation))
    assert np.abs(merged.points[0] - face).max() < 1.5 and apart < 1.0
    assert np.allclose(merged.rotation[0], rotation[0])


def test_mirrored_scores() -> None:
    scores = np.zeros((1, 52), np.float32)
    scores[0, NAMES.index("eyeBlinkLeft")] = 0.7
    mirrored = mirror_scores(scores, NAMES)
    assert mirrored[0, NAMES.index("eyeBlinkRight")] == np.float32(0.7) and mirrored.sum() == np.float32(0.7)


@pytest.mark.skipif(not TASK.is_file(), reason="needs ../shared/data/face_landmarker_v2_with_blendshapes.task")
def test_real_teacher_sees_the_same_turned_and_mirrored() -> None:
    pytest.importorskip("mediapipe")
    from mfn.fitting.landmarker import Landmarker, View
    from mfn.training.data.packs import read_pictures

    picture = read_pictures(SHARED / "eval" / "facesynthetics.tar", every=25)[0]
    with Landmarker(TASK) as landmarker:
        seen = landmarker(picture)
        box = np.concatenate([seen.points[0, :, :2].min(0), seen.points[0, :, :2].max(0)])
        looks = landmarker.detect_in_views(picture, box, (View(), View(mirror=True), View(turn=0.3)))
    size = np.sqrt((box[2:] - box[:2]).prod())
    assert len(looks.points) == 3
    assert (np.linalg.norm(looks.points[..., :2] - seen.points[..., :2], axis=2).mean(1) / size).max() < 0.03
    angle = np.degrees(np.arccos(np.clip((np.einsum("nij,ij->n", looks.rotation, seen.rotation[0]) - 1) / 2, -1, 1)))
    assert angle.max() < 6


def test_missing_model_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"face_landmarker\.task"):
        mfn.fitting.landmarker.Landmarker(tmp_path / "none.task")
    pytest.importorskip("mediapipe")
    (tmp_path / "bad.task").write_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"bad\.task: not MediaPipe's"):
        mfn.fitting.landmarker.Landmarker(tmp_path / "bad.task")
