"""`mfn annotate` with a simulated landmarker: its pack can be read, a stopped run continues, unreadable photos are not fatal."""

import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import mfn.fitting.landmarker
from mfn.cli.main import main
from mfn.cli.training.export import sample_pictures
from mfn.fitting.annotate import AnnotateOptions, _key_of_models, annotate
from mfn.fitting.annotation_pack import save_arrays
from mfn.fitting.landmarker import LandmarkResult
from mfn.structures.camera import project
from mfn.structures.head_model import HeadModel
from mfn.training.packs.reader import read_pack
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import write_image

NAMES = ["_neutral", *EXPRESSION_NAMES]


class FakeLandmarker:
    """Finds the mean head in every photo, as large as the photo's mean gray; no face in a black photo."""

    calls = 0

    def __init__(self, path: str) -> None:
        self.names = NAMES

    def __enter__(self) -> "FakeLandmarker":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, picture: np.ndarray, single: bool = False) -> LandmarkResult:
        FakeLandmarker.calls += 1
        level = float(picture.mean())
        count = int(level > 1)
        rotation = np.tile(np.diag([1.0, -1.0, -1.0]).astype(np.float32), (count, 1, 1))
        head = HeadModel.load().landmark_basis("mediapipe478")[0][None].repeat(count, 0)
        points = project(head, rotation, np.full(count, 4 * level), np.full((count, 2), 100.0))
        return LandmarkResult(points.astype(np.float32), np.zeros((count, 52), np.float32), rotation)

    def detect_in_views(self, picture: np.ndarray, box: np.ndarray, views: object = ()) -> LandmarkResult:
        return LandmarkResult.empty()


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.set_num_threads(1)
    monkeypatch.setattr(mfn.fitting.landmarker, "Landmarker", FakeLandmarker)
    FakeLandmarker.calls = 0
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, level in enumerate((150, 0, 200)):
        write_image(folder / f"{number}.png", np.full((200, 220, 3), level, np.uint8))
    (folder / "bad.png").write_bytes(b"not a picture")
    return folder


def files(folder: Path) -> list[str]:
    return sorted(map(str, folder.iterdir()))


QUICK = AnnotateOptions("teacher.task", multi_view=False, quiet=True)


def test_pack_is_read_back(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "mine" / "faces.npz"
    assert annotate(None, files(photos), out, QUICK) == 0
    assert "bad.png" in capsys.readouterr().err
    pack = read_pack(out.parent, out.parent / "labels", "faces")
    assert len(pack.pictures) == 3 and pack.pictures[0].shape == (200, 220, 3)
    assert pack.faces.image.tolist() == [0, 2] and pack.has_labels.all()
    assert np.allclose(pack.faces.scale, [600, 800], rtol=0.1) and np.allclose(pack.faces.center, 100, atol=6)
    assert not out.with_suffix(".parts").exists()


def test_a_stopped_run_continues(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, detect = tmp_path / "faces.npz", FakeLandmarker.__call__

    def stop(self: FakeLandmarker, picture: np.ndarray, single: bool = False) -> LandmarkResult:
        if FakeLandmarker.calls == 2:
            raise KeyboardInterrupt
        return detect(self, picture, single)

    monkeypatch.setattr(FakeLandmarker, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        annotate(None, files(photos), out, QUICK)
    assert not out.exists()
    monkeypatch.setattr(FakeLandmarker, "__call__", detect)
    assert annotate(None, files(photos), out, QUICK) == 0
    assert FakeLandmarker.calls == 3 and out.is_file()  # two before the stop, the third after it


def test_photos_are_read_again_with_another_landmarker(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is stopped after the photos, and continued with another model file, has nothing that it can use."""
    task = tmp_path / "teacher.task"
    options = replace(QUICK, landmarker=str(task))

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mfn.fitting.annotate.write_pack", stop)
    for content, calls in ((b"one", 3), (b"one", 3), (b"two", 6)):
        task.write_bytes(content)
        with pytest.raises(KeyboardInterrupt):
            annotate(None, files(photos), tmp_path / "faces.npz", options)
        assert FakeLandmarker.calls == calls


def test_the_parts_depend_on_the_networks(tmp_path: Path) -> None:
    class Network:
        def __init__(self, text: str) -> None:
            self.fingerprint = lambda: text

    keys = [_key_of_models("none.task", network) for network in (None, Network("score 0.4"), Network("score 0.5"))]
    assert len(set(keys)) == 3


@pytest.mark.parametrize("name", ["faces.npz", "faces.tar", "labels/faces.npz"])
@pytest.mark.parametrize("content", ["text", "other"])
def test_a_file_that_is_no_pack_is_not_replaced(photos: Path, tmp_path: Path, name: str, content: str) -> None:
    out, file = tmp_path / "faces.npz", tmp_path / name
    file.parent.mkdir(exist_ok=True)
    if content == "text":
        file.write_text("mine")
    elif file.suffix == ".npz":
        np.savez(file, mine=np.zeros(3))
    else:
        with tarfile.open(file, "w") as tar:
            tar.add(photos / "0.png", "000000.jpg")
    before = file.read_bytes()
    with pytest.raises(ValueError, match=rf"{name}: expected no file, or one of an earlier pack.*choose another name with --out$"):
        annotate(None, files(photos), out, QUICK)
    assert file.read_bytes() == before and FakeLandmarker.calls == 0


def test_an_earlier_pack_is_replaced_and_other_files_among_the_parts_stay(photos: Path, tmp_path: Path) -> None:
    out, notes = tmp_path / "faces.npz", tmp_path / "faces.parts" / "my_notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    (notes.parent / ".0123456789abcdef.npz").write_bytes(b"what a killed run left")
    for _ in range(2):
        assert annotate(None, files(photos), out, QUICK) == 0
        assert list(notes.parent.iterdir()) == [notes] and notes.read_text() == "mine"
    notes.unlink()
    assert annotate(None, files(photos)[:1], out, QUICK) == 0 and not notes.parent.exists()
    with np.load(out) as pack:
        assert len(pack["picture_size"]) == 1


def test_one_folder_is_one_person(photos: Path, tmp_path: Path) -> None:
    annotate(None, files(photos), tmp_path / "faces.npz", replace(QUICK, people="folder"))
    with np.load(tmp_path / "labels" / "faces.npz") as labels:
        assert (labels["person"] == labels["person"][0]).all() and (labels["track"] == labels["person"]).all()
        assert np.abs(labels["identity"][0] - labels["identity"][1]).max() < 0.3  # it may vary a little


def test_one_folder_is_one_person_however_its_path_is_written(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was stopped goes on with other paths to the same photos."""
    out, options = tmp_path / "faces.npz", replace(QUICK, people="folder")
    with monkeypatch.context() as patch:
        patch.setattr("mfn.fitting.annotate.write_pack", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            annotate(None, [str(photos / "0.png")], out, options)
    monkeypatch.chdir(tmp_path)
    names = ["photos/0.png", str(photos / "2.png")]
    assert annotate(None, names, out, options) == 0 and FakeLandmarker.calls == 2
    with np.load(out) as pack, np.load(tmp_path / "labels" / "faces.npz") as labels:
        assert pack["picture_name"].tolist() == names
        assert labels["person"].tolist() == [0, 0]


@pytest.mark.parametrize(("scale", "kind"), [(1, np.int16), (20, np.int32)])
def test_landmarks_far_outside_of_the_photo_are_kept(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale, kind) -> None:
    detect, found = FakeLandmarker.__call__, []

    def far(self: FakeLandmarker, picture: np.ndarray, single: bool = False) -> LandmarkResult:
        result = detect(self, picture, single)
        found.append(result.points * np.float32(scale))
        return replace(result, points=found[-1])

    monkeypatch.setattr(FakeLandmarker, "__call__", far)
    annotate(None, [str(photos / "2.png")], tmp_path / "faces.npz", QUICK)
    with np.load(tmp_path / "faces.npz") as pack:
        assert pack["face_landmarks"].dtype == kind
        np.testing.assert_allclose(pack["face_landmarks"] * pack["landmark_scale"], found[0], atol=0.06)


def test_arrays_are_written_whatever_the_name(tmp_path: Path) -> None:
    save_arrays(tmp_path / "x.NPZ", {"a": np.arange(3)})
    with np.load(tmp_path / "x.NPZ") as data:
        assert data["a"].tolist() == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["x.NPZ"]


def test_wrong_input_is_reported(photos: Path, tmp_path: Path) -> None:
    for name in ("faces.json", "faces.NPZ"):
        with pytest.raises(ValueError, match=f"--out .*{name}: expected a name that ends in .npz"):
            annotate(None, files(photos), tmp_path / name, QUICK)
    with pytest.raises(ValueError, match="expected unknown or folder"):
        annotate(None, files(photos), tmp_path / "faces.npz", replace(QUICK, people="all"))
    for side in (0, 4000):  # 4000 px do not fit into 16 bits of 0.1 px
        with pytest.raises(ValueError, match=f"--max-side {side}: expected 64 to 3000 px"):
            annotate(None, files(photos), tmp_path / "faces.npz", replace(QUICK, max_side_px=side))
    with pytest.raises(ValueError, match="none of 1 photos"):
        annotate(None, [str(photos / "bad.png")], tmp_path / "faces.npz", QUICK)
    assert not list(tmp_path.glob("faces*"))


def test_without_a_network_a_face_that_fills_the_photo_is_looked_for(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The landmarker alone misses it; the middle of the photo is tried in more views."""
    tried = []

    def views(self: FakeLandmarker, picture: np.ndarray, box: np.ndarray, _: object = ()) -> LandmarkResult:
        tried.append(box.tolist())
        return self(np.full_like(picture, 150))

    monkeypatch.setattr(FakeLandmarker, "detect_in_views", views)
    annotate(None, files(photos), tmp_path / "mine.npz", QUICK)
    assert tried == [pytest.approx([44, 40, 176, 160])], "of the black photo only"
    with np.load(tmp_path / "mine.npz") as pack:
        assert pack["face_picture"].tolist() == [0, 1, 2]


def test_mediapipe_alone_uses_nothing_learned(photos: Path, tmp_path: Path) -> None:
    """The predictor is not asked, and the labels are those of a fit without the learned priors."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("the network was asked")

    annotate(refuse, files(photos), tmp_path / "free.npz", replace(QUICK, mediapipe_only=True))  # type: ignore[arg-type]
    annotate(None, files(photos), tmp_path / "usual.npz", QUICK)
    free, usual = (np.load(tmp_path / "labels" / f"{name}.npz") for name in ("free", "usual"))
    assert free["ok"].all() and np.abs(free["identity"] - usual["identity"]).max() > 0.01


def test_the_command_leaves_out_rendered_characters(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "0.png").rename(photos / "0.characters.png")
    (photos / "more").mkdir()
    (photos / "2.png").rename(photos / "more" / "2.png")
    read: list[str] = []
    monkeypatch.setattr("mfn.fitting.annotate.annotate", lambda predictor, paths, *rest: read.extend(paths) or 0)
    main(["annotate", str(photos), "--out", str(tmp_path / "faces.npz"), "--mediapipe-only", "--landmarker", "teacher.task"])
    assert [Path(path).relative_to(photos).as_posix() for path in read] == ["1.png", "bad.png", "more/2.png"]


def test_quantize_leaves_out_rendered_characters(photos: Path) -> None:
    (photos / "bad.png").unlink()
    (photos / "2.png").rename(photos / "2.characters.png")
    assert len(sample_pictures([str(photos)], 100)) == 2
