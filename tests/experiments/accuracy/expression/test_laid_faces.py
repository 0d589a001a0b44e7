"""Faces laid into frames at several sizes, winks and clips: the arithmetic of the measures of expression."""

import numpy as np
import pytest

from experiments.accuracy.expression import by_size, clips, laid_faces, winks
from experiments.accuracy.expression.eyelids import BLINK
from experiments.accuracy.expression.laid_faces import Source
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES
from tests.helpers.experiments import by_number, numbered_pictures, one_face, write_tar


def expressions(count=40, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (count, 51))


@pytest.mark.parametrize("count", [1, 12, 60])
def test_cells_lie_in_the_frame_side_by_side(count):
    corners, (width, height) = laid_faces.cell_corners(count, 1280, 720)
    assert len({tuple(corner) for corner in corners.tolist()}) == count
    assert (corners.max(0) + [width, height] <= [1280, 720]).all() and 0.6 < width / height < 1.8


def test_follow_returns_correlation_and_slope():
    reference = np.array([0.0, 1, 2, 3])
    assert laid_faces.follow(reference, 1 - reference / 2) == pytest.approx((-1, -0.5))
    assert laid_faces.follow(reference, np.ones(4)) == (0, 0)
    assert np.isnan(laid_faces.follow(np.ones(4), reference)).all()
    assert np.isnan(laid_faces.follow(reference[:2], reference[:2])).all()


def test_the_nearest_face_has_to_be_near():
    faces = Faces.concatenate([one_face((0, 0, 20, 20)), one_face((100, 100, 120, 120))])
    assert laid_faces.face_nearest(faces, np.array([108, 110]), 20).box.tolist() == [[100, 100, 120, 120]]
    assert len(laid_faces.face_nearest(faces, np.array([60, 60]), 20)) == 0
    assert len(laid_faces.face_nearest(faces[[]], np.array([60, 60]), 20)) == 0


def test_faces_of_a_pack_are_those_of_the_chosen_pictures(tmp_path):
    write_tar(tmp_path / "a.tar", numbered_pictures(6))
    points = np.random.default_rng(0).integers(0, 300, (3, 478, 3)).astype(np.int16)
    np.savez(tmp_path / "a.npz", face_picture=np.array([1, 3, 3]), face_landmarks=points, landmark_scale=np.float32(0.1))
    sources = laid_faces.pack_faces(tmp_path, "a", 3)
    assert [int(source.picture[0, 0, 0]) for source in sources] == [3, 3]
    assert all(source.box.shape == (4,) for source in sources)


def test_groups_have_the_gain_of_their_shapes():
    full = expressions()
    small = full.copy()
    small[:, EXPRESSION_NAMES.index("jawOpen")] *= 0.5
    small[0] = np.nan
    full[1] = np.nan
    figures = by_size.compare(full, small)
    assert figures["groups"]["jaw"] == [1, 0.5] and figures["groups"]["gaze"] == [1, 1]
    assert figures["correlation"] == 1 and figures["gain"] == pytest.approx(5.5 / 6, abs=1e-3)
    assert figures["found"] == pytest.approx(38 / 39, abs=1e-3)


def test_eyes_that_turn_against_each_other_are_no_gaze():
    look = np.zeros((1, 51))
    look[0, [EXPRESSION_NAMES.index(name) for name in ("eyeLookInLeft", "eyeLookInRight")]] = 1
    assert by_size.signal(look, by_size.SIGNALS["gaze"]["sideways"]) == 0


def test_each_face_of_a_frame_is_read_at_its_place():
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[30:70, 30:70] = 255
    sources = [Source(picture, np.array([30.0, 30, 70, 70]))] * 3
    frames = []

    def predict(frame):
        """Find the first cell's face only."""
        frames.append(frame)
        _, (width, height) = laid_faces.cell_corners(2, 1280, 720)
        middle = np.array([width, height]) / 2
        face = one_face((*(middle - 20), *(middle + 20)))
        return face.replace(expression=np.full((1, 51), len(frames) / 10, np.float32))

    rows = by_size.read_faces(predict, sources, 40, 2)
    np.testing.assert_allclose(rows[:, 0], [0.1, np.nan, 0.2])
    assert [(frame[..., 0] > 200).sum() for frame in frames] == pytest.approx([3200, 1600], rel=0.05)


def test_a_size_without_room_is_left_out():
    figures = by_size.measure(lambda frame: Faces.empty(64), [], (1, 60))
    assert "100 px" in figures and "100 px, 60 in a frame" not in figures and "40 px, 60 in a frame" in figures


class Clips:
    """A stand-in for a `Predictor` that finds the face in the middle. The weights of its shapes say how it was called."""

    def __init__(self, faces, weights="a.onnx"):
        self.frame_faces, self.weights, self.photos = faces, weights, 0

    def __call__(self, frame, video=False):
        self.photos += not video
        value = 0.9 if not video else 0.1 if self.frame_faces == 0 else 0.5
        return one_face((620, 340, 660, 380)).replace(expression=np.full((1, 51), value, np.float32))


def test_frames_of_a_clip_are_read_with_and_without_readers(monkeypatch):
    read = []
    monkeypatch.setattr(by_size, "compare", lambda full, small: read.append((full[0, 0], small[0, 0])) or {})
    sources = [Source(np.zeros((9, 9, 3), np.uint8), np.array([2.0, 2, 7, 7]))] * 2
    networks = {"small": Clips(16), "large": Clips(64)}
    figures = dict(by_size.measure_video(networks, sources, (1,)))
    assert list(figures) == ["small", "small, dense", "large", "large, dense"]
    assert figures["large, dense"]["found at full size"] == 2 and "24 px" in figures["small"]
    values = [(pytest.approx(0.9), pytest.approx(value)) for value in (0.5, 0.1, 0.5, 0.1) for _ in by_size.SIZES_PX]
    assert read == values
    assert [network.photos for network in networks.values()] == [2, 0], "models of one file share the reference"
    assert [network.frame_faces for network in networks.values()] == [16, 64]


@pytest.mark.parametrize(("options", "name"), [([], "by_size.json"), (["--video"], "by_size_video.json")])
def test_figures_of_clips_go_to_a_file_of_their_own(tmp_path, monkeypatch, options, name):
    written = []
    monkeypatch.setattr(by_size, "pack_faces", lambda *_: [])
    monkeypatch.setattr(by_size.Predictor, "load", lambda *_, **__: Clips(16))
    monkeypatch.setattr(by_size, "save_report", lambda args, script, figures, weights: written.append((args.out.name, figures)))
    monkeypatch.setattr("sys.argv", ["by_size", "--data", str(tmp_path), *options])
    by_size.main()
    rows = ["large", "large, dense"] if options else ["large"]
    assert written[0][0] == name and list(written[0][1]["networks"]) == rows and written[0][1]["faces"] == 0


def test_lids_are_summarized_by_kind():
    blinks = np.array([[0.9, 0.1], [0.2, 0.6], [np.nan, np.nan], [0.8, 0.8]])
    figures = winks.summarize(blinks, np.array(["wink", "wink", "wink", "sleepy"]))
    assert figures["wink"] == {"portraits": 3, "found": 2, "difference": 0.6, "more shut": 0.75, "other lid": 0.15}
    assert figures["sleepy"]["difference"] == 0


def test_lids_are_read_from_the_best_face():
    weights = np.zeros((1, 51), np.float32)
    weights[0, BLINK] = [0.8, 0.1]
    face = one_face((0, 0, 9, 9)).replace(expression=weights)
    rows = winks.read_blinks(by_number([face, face[[]]]), numbered_pictures(2))
    np.testing.assert_allclose(rows, [[0.8, 0.1], [np.nan, np.nan]], rtol=1e-6)


def test_clips_count_shapes_that_move_in_the_peers_reading():
    peer, ours = np.zeros((30, 51)), np.zeros((30, 51))
    peer[:, 3], peer[:, 4] = np.linspace(0, 0.5, 30), np.linspace(0, 0.1, 30)
    ours[:, 3] = 0.8 * peer[:, 3] + 0.1
    ours[0] = np.nan
    clip = clips.compare(peer, ours)
    assert clip == {"frames": 30, "found": 0.967, "shapes": {EXPRESSION_NAMES[3]: [1, 0.8]}}
    other = {"shapes": {"a": [0.5, 0.2]}}
    assert clips.total({"x": clip, "y": other}) == {"shapes": 2, "correlation": 0.75, "gain": 0.5}


def test_the_peers_shapes_are_put_in_our_order(tmp_path):
    names = np.array(EXPRESSION_NAMES[::-1])
    path = tmp_path / "d0.mediapipe.npz"
    np.savez(path, names=names, blendshapes=np.arange(51, dtype=np.float16)[None], box=np.zeros((1, 4), np.float32))
    assert clips.read_peer(path).expression[0].tolist() == list(range(51))[::-1]
    with pytest.raises(FileNotFoundError, match="--eval"):
        clips.read_peer(tmp_path / "x.npz")


def test_frames_are_read_at_the_peers_box():
    face = one_face((10, 10, 50, 40)).replace(expression=np.full((1, 51), 0.3, np.float32))
    boxes = np.array([[10, 10, 50, 40], [10, 10, 50, 40], [200, 200, 240, 240], [np.nan] * 4])
    rows = clips.read_frames(by_number([face] * 4), numbered_pictures(3), boxes)
    np.testing.assert_allclose(rows[:, 0], [0.3, 0.3, np.nan, np.nan], rtol=1e-6)
