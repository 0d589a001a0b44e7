from itertools import pairwise
from types import SimpleNamespace as NodeArg

import cv2
import numpy as np
import pytest

from mfn.cli.main import main
from mfn.inference.input.passes import FILLED, MARGIN_PX, MAX_TILE_AREA_PX, OVERLAP_FACES, InputLimits, plan_passes
from mfn.inference.predictor import Predictor
from mfn.structures.boxes import box_iou
from mfn.structures.cells import CELL_SIZE, IDENTITY_SIZE, SLICES, STRIDES, grid
from mfn.structures.faces import Faces
from mfn.structures.network_metadata import FaceRange, Size
from retarget.io.images import write_image
from tests.helpers.faces import write_cells


class Squares:
    """A network that takes white squares for faces: those of `least` px and more in its input, as much of them as it sees.

    In large ones, or in what a border leaves of them, it also sees `parts`: a face of a third of the size, as a network may in a nose.
    """

    def __init__(self, least: int = 20, parts: bool = False, fixed: tuple[int, int] | None = None) -> None:
        self.least, self.parts, self.fixed = least, parts, fixed
        self.seen: list[tuple[int, ...]] = []

    def get_inputs(self) -> list:
        width, height = self.fixed or ("W", "H")
        return [NodeArg(name="image", type="tensor(uint8)", shape=["B", height, width, 3])]

    def get_outputs(self) -> list:
        return [NodeArg(name="cells", type="tensor(float)", shape=["B", "A", CELL_SIZE])]

    def get_modelmeta(self) -> NodeArg:
        return NodeArg(custom_metadata_map={})

    def run(self, _: list, feed: dict) -> list:
        self.seen.append(feed["image"].shape)
        return [np.stack([self._cells(image) for image in feed["image"]])]

    def _cells(self, image: np.ndarray) -> np.ndarray:
        center, stride = grid(*image.shape[:2])
        cells = np.zeros((len(center), CELL_SIZE), np.float32)
        cells[:, SLICES["score"]] = -20
        for x, y, w, h, _ in cv2.connectedComponentsWithStats((image[..., 0] > 128).astype(np.uint8))[2][1:]:
            if min(w, h) < self.least:
                continue
            self._add(cells, center, stride, np.array([x, y, x + w, y + h]), 0.9)
            if self.parts and max(w, h) > 200:
                middle = np.array([x + w / 2, y + h / 2])
                self._add(cells, center, stride, np.r_[middle - w / 6, middle + w / 6], 0.95)
        return cells

    @staticmethod
    def _add(cells: np.ndarray, center: np.ndarray, stride: np.ndarray, box: np.ndarray, score: float) -> None:
        level = min(STRIDES, key=lambda s: abs(np.log(4 * s / (box[2] - box[0]))))
        rows = np.flatnonzero(stride == level)
        row = rows[[np.abs(center[rows] - (box[:2] + box[2:]) / 2).sum(1).argmin()]]
        face = Faces(
            image=[0], box=box[None], score=[score], rotation=np.diag([1, -1, -1])[None], scale=[200], track=[-1],
            center=(box[None, :2] + box[None, 2:]) / 2, identity=np.zeros((1, IDENTITY_SIZE)), expression=np.full((1, 51), 0.1),
        )
        cells[row] = write_cells(face, center[row], stride[row])


def paint(height: int, width: int, boxes: np.ndarray) -> np.ndarray:
    picture = np.zeros((height, width, 3), np.uint8)
    for x1, y1, x2, y2 in np.asarray(boxes, int):
        picture[y1:y2, x1:x2] = 255
    return picture


def crowd(height: int, width: int, sizes: tuple[int, ...], count: int, seed: int = 0) -> np.ndarray:
    """Boxes of so many squares of these sizes that keep apart, (N, 4)."""
    random, boxes = np.random.default_rng(seed), np.zeros((0, 4))
    for size in np.resize(sizes, count):
        corner = random.integers(2, (width - size - 2, height - size - 2))
        box = np.r_[corner, corner + size]
        if not (box_iou(box[None] + np.array([-3, -3, 3, 3]), boxes) > 0).any():
            boxes = np.r_[boxes, box[None]]
    return boxes


def check(found: Faces, boxes: np.ndarray, tolerance: float = 2.0) -> None:
    """Each box found once, and nothing else."""
    assert len(found) == len(boxes)
    shared = box_iou(boxes, found.box)
    assert len(np.unique(shared.argmax(1))) == len(boxes)
    np.testing.assert_allclose(found.box[shared.argmax(1)], boxes, atol=tolerance)
    np.testing.assert_allclose(found.center, (found.box[:, :2] + found.box[:, 2:]) / 2, atol=0.1)


@pytest.fixture
def small_tiles(monkeypatch) -> None:
    """Read pictures in tiles of a quarter of a megapixel."""
    monkeypatch.setattr("mfn.inference.input.passes.MAX_TILE_AREA_PX", 1 << 18)


SIZES = (12, 16, 24, 40, 70, 120, 200)


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("shape", [(600, 700), (700, 400), (240, 1400)])
def test_every_face_of_every_size_once(shape, parts, small_tiles):
    boxes = crowd(*shape, tuple(s for s in SIZES if s < min(shape) / 2), 40)
    check(Predictor(Squares(parts=parts), min_face_px=12)(paint(*shape, boxes)), boxes)


@pytest.mark.parametrize("size", [12, 30, 90, 250])
def test_no_seam(size, small_tiles):
    """A face at every place along a line over several tiles: one face each time, where it is."""
    predictor = Predictor(Squares(), min_face_px=12)
    assert len(predictor.passes(500, 600)[0].tiles) > 2
    for x in range(20, 240, 43):
        box = np.array([[x, x + 5, x + size, x + 5 + size]])
        check(predictor(paint(500, 600, box)), box, tolerance=0.02 * size + 1)


@pytest.mark.parametrize("size", [300, 500])
def test_a_big_face_is_not_its_parts(size):
    box = np.array([[60, 50, 60 + size, 50 + size]])
    check(Predictor(Squares(parts=True), min_face_px=16)(paint(600, 700, box)), box, tolerance=4)


def test_a_network_of_one_input_size():
    boxes = crowd(250, 400, (16, 30, 60), 20)
    network = Squares(fixed=(576, 320))
    check(Predictor(network, min_face_px=16)(paint(250, 400, boxes)), boxes)
    assert {shape[1:3] for shape in network.seen} == {(320, 576)}


def test_no_face_and_many_pictures(tmp_path):
    predictor = Predictor(Squares(), min_face_px=16)
    box = np.array([[100, 60, 116, 76]])
    write_image(tmp_path / "a.png", paint(200, 300, box))
    faces = predictor([paint(200, 300, box[:0]), tmp_path / "a.png", paint(9, 5, box[:0])])
    assert faces.image.tolist() == [1] and faces.identity.shape == (1, IDENTITY_SIZE)
    assert len(predictor([])) == 0 and len(predictor(paint(1, 1, box[:0]))) == 0


def test_time_follows_the_picture_not_the_faces():
    seen = []
    for count in (1, 200):
        network = Squares()
        Predictor(network, min_face_px=12)(paint(300, 400, crowd(300, 400, (12, 16), count)))
        seen.append(network.seen)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("shape", [(1, 1), (480, 640), (4000, 6000), (9000, 12000), (100, 20000)])
@pytest.mark.parametrize("min_face_px", [8, 16, 60])
@pytest.mark.parametrize("fixed", [None, Size(576, 320)])
@pytest.mark.parametrize("face_range", [FaceRange(24, 400), FaceRange(8, 700)])
def test_passes(shape, min_face_px, fixed, face_range):
    height, width = shape
    passes = plan_passes(height, width, min_face_px, InputLimits(16, fixed, face_range))
    assert passes[0].reported_px[0] == 0 and passes[-1].reported_px[1] == np.inf
    assert passes[0].factor == pytest.approx(min(face_range.min_px / min(min_face_px, min(shape) / 4), 2))
    for fine, coarse in pairwise(passes):  # each size of a face is reported by a pass that finds it
        assert coarse.factor < fine.factor and coarse.reported_px[0] < face_range.min_px
        assert face_range.min_px / coarse.factor <= fine.reported_px[1] / fine.factor / 1.19
        assert fine.reported_px[1] <= face_range.max_px
    assert len(passes[-1].tiles) == 1, "the largest faces are not cut by tiles"
    if len(passes) > 1:
        assert min(shape) * passes[-1].factor <= FILLED * face_range.max_px + 1, "a face that fills the picture is not much too large"
    for part in passes:
        tile = part.tiles[0]
        if fixed:
            assert tile.width * part.factor <= fixed.width + 1 and tile.height * part.factor <= fixed.height + 1
        else:
            assert tile.width * tile.height * part.factor**2 <= MAX_TILE_AREA_PX * 1.001
        for start, side, length in ((0, 2, width), (1, 3, height)):
            starts, extent = np.unique([t[start] for t in part.tiles]), tile[side]
            assert starts[0] == 0 and starts[-1] + extent == length
            if len(starts) > 1 and not fixed:
                overlap = (starts[:-1] + extent - starts[1:]).min() * part.factor
                assert overlap >= min(part.reported_px[1], OVERLAP_FACES * face_range.min_px) + 2 * MARGIN_PX


def test_one_call_holds_a_bounded_part():
    network = Squares()
    Predictor(network, min_face_px=8)(np.zeros((900, 1200, 3), np.uint8), video=True)
    assert max(np.prod(shape[:3]) for shape in network.seen) <= 1.05 * (2 << 20)


def test_a_photo(shipped, shared):
    """Faces of 20 to 30 px, sure ones by a detector: each once, and none that it has not seen at all."""
    truth = np.loadtxt(shared / "eval" / "groups" / "1.txt")
    faces = Predictor.load("small", threads=1)(shared / "eval" / "groups" / "1.jpg")
    shared_area = box_iou(truth[truth[:, 4] >= 0.75, :4], faces.box) > 0.5
    assert len(shared_area) == 52 and (shared_area.sum(1) == 1).mean() > 0.98 and (shared_area.sum(1) < 2).all()
    assert (box_iou(faces.box, truth[:, :4]).max(1) > 0.3).all()


@pytest.fixture
def squares(tmp_path, monkeypatch) -> None:
    """A working directory with crowd.png, two small faces and a large one, and `Squares` for the network, without a reader."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mfn.inference.predictor.default_reader", lambda: None)
    monkeypatch.setattr("mfn.inference.predictor.open_session", lambda path, threads, providers: Squares())
    write_image("crowd.png", paint(300, 700, np.array([[20, 20, 38, 38], [400, 200, 418, 218], [200, 50, 300, 150]])))


def test_detect(squares, capsys):
    assert main(["detect", "crowd.png", "--no-draw", "--no-json", "--min-face", "60"]) == 0
    assert "1 face\n" in capsys.readouterr().out
    assert main(["detect", "crowd.png", "--no-draw", "--no-json"]) == 0
    assert "3 faces\n" in capsys.readouterr().out
    assert main(["detect", "crowd.png", "--min-face", "0"]) == 2
    assert "argument --min-face: 0: expected a number, 4" in capsys.readouterr().err


def test_animate(squares, capsys):
    assert main(["animate", "crowd.png", "--min-face", "16", "--out", "x.npz"]) == 0
    assert capsys.readouterr().out.startswith("3 people\nwrote x.npz")
