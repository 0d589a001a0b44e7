from types import SimpleNamespace as NodeArg

import cv2
import numpy as np
import pytest

from mfn.cli.main import main
from mfn.inference.letterbox import fit_letterbox, fixed_letterbox
from mfn.inference.model_zoo import DEFAULT_SIZE
from mfn.inference.predictor import Predictor
from mfn.inference.tiling import MARGIN_PX, MAX_STEP, MIN_OWN_PX, RELIABLE_PX, TiledPredictor, merge, plan
from mfn.structures.boxes import box_iou
from mfn.structures.cells import CELL_SIZE, IDENTITY_SIZE, SLICES, STRIDES, grid, write_cells
from mfn.structures.faces import Faces
from retarget.io.images import write_image


class Squares:
    """A network that takes white squares for faces: those of `least` px and more in its input, as much of them as it sees.

    In large ones, or in what a border leaves of them, it also sees `parts`: a face of a third of the size, as a network may in a nose.
    """

    def __init__(self, least: int = 30, parts: bool = False, fixed: tuple[int, int] | None = None) -> None:
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


SIZES = (8, 11, 16, 24, 40, 70, 120)


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("shape", [(300, 500), (500, 200), (120, 700)])
def test_every_face_of_every_size_once(shape, parts):
    boxes = crowd(*shape, tuple(s for s in SIZES if s < min(shape) / 2), 40)
    tiled = TiledPredictor(Predictor(Squares(parts=parts)), min_face_px=8)
    check(tiled(paint(*shape, boxes)), boxes)
    assert len(Predictor(Squares())(paint(*shape, boxes))) < len(boxes)  # what the tiles are for


@pytest.mark.parametrize("size", [8, 30, 90])
def test_no_seam(size):
    """A face at every place along a line over several tiles: one face each time, where it is."""
    tiled = TiledPredictor(Predictor(Squares()), min_face_px=8)
    for x in range(100, 240, 27):
        box = np.array([[x, 40, x + size, 40 + size]])
        check(tiled(paint(140, 400, box)), box)


@pytest.mark.parametrize("size", [300, 500])
def test_a_big_face_is_not_its_parts(size):
    box = np.array([[60, 50, 60 + size, 50 + size]])
    check(TiledPredictor(Predictor(Squares(parts=True)), min_face_px=16)(paint(600, 700, box)), box, tolerance=4)


def test_a_network_of_one_input_size():
    boxes = crowd(250, 400, (16, 30, 60), 20)
    network = Squares(fixed=(576, 320))
    check(TiledPredictor(Predictor(network), min_face_px=16)(paint(250, 400, boxes)), boxes)
    assert {shape[1:3] for shape in network.seen} == {(320, 576)}


def test_no_face_and_many_pictures(tmp_path):
    tiled = TiledPredictor(Predictor(Squares()), min_face_px=16)
    box = np.array([[100, 60, 116, 76]])
    write_image(tmp_path / "a.png", paint(200, 300, box))
    faces = tiled([paint(200, 300, box[:0]), tmp_path / "a.png", paint(9, 5, box[:0])])
    assert faces.image.tolist() == [1] and faces.identity.shape == (1, IDENTITY_SIZE)
    assert len(tiled([])) == 0 and len(tiled(paint(1, 1, box[:0]))) == 0


def test_time_follows_the_picture_not_the_faces():
    seen = []
    for count in (0, 200):
        network = Squares()
        TiledPredictor(Predictor(network), min_face_px=8)(paint(300, 400, crowd(300, 400, (8, 12), count)))
        seen.append(network.seen)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("shape", [(1, 1), (480, 640), (4000, 6000), (9000, 12000), (100, 20000)])
@pytest.mark.parametrize("min_face_px", [8, 16, 60])
@pytest.mark.parametrize("fixed", [None, (576, 320)])
def test_scales(shape, min_face_px, fixed):
    height, width = shape
    whole = fixed_letterbox(height, width, fixed) if fixed else fit_letterbox(height, width, DEFAULT_SIZE)
    scales = plan(height, width, whole, min_face_px, fixed)
    factors = np.array([s.box.factor[1] for s in scales])
    assert scales[0].box == whole and scales[0].own[1] == np.inf and scales[-1].own[0] == 0
    if len(scales) > 1:
        assert factors[-1] * min_face_px >= 0.9 * RELIABLE_PX
        for coarse, fine in zip(scales, scales[1:]):  # each size is answered for, and seen well
            step = min(fine.box.factor) / min(coarse.box.factor)
            assert step < MAX_STEP * 1.1 and fine.own[1] / step >= coarse.own[0] == MIN_OWN_PX
    for scale in scales[1:]:
        assert scale.box.height % 16 == scale.box.width % 16 == 0 and scale.box.height * scale.box.width <= 1280 * 1280
        for axis, length in enumerate((width, height)):
            starts, extent = np.unique(scale.corners[:, axis]), scale.extent[axis]
            assert starts[0] == 0 and starts[-1] + extent == length
            assert extent * scale.box.factor[axis] <= (scale.box.width, scale.box.height)[axis] + 1e-6
            if len(starts) > 1 and not fixed:
                assert ((starts[:-1] + extent - starts[1:]) * scale.box.factor[axis]).min() >= scale.own[1] + 2 * MARGIN_PX - 1


def test_one_call_holds_a_bounded_part():
    network = Squares()
    TiledPredictor(Predictor(network), min_face_px=24)(np.zeros((900, 1200, 3), np.uint8))
    assert max(np.prod(shape[:3]) for shape in network.seen) <= 2 << 20


def test_the_detection_of_the_best_scale_is_kept():
    box = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10]], float)
    assert merge(box, np.array([0.9, 0.8, 0.95]), np.array([0.7, 1, 1])).tolist() == [2, 1]


def test_parts_of_a_face_are_dropped_and_small_faces_beside_it_are_kept():
    face, nose, beside = [0, 0, 100, 100], [40, 40, 60, 60], [90, 40, 110, 60]
    assert merge(np.array([nose, face, beside]), np.array([0.95, 0.9, 0.7]), np.ones(3)).tolist() == [1, 2]
    assert merge(np.array([nose, face]), np.array([0.95, 0.1]), np.ones(2)).tolist() == [0, 1]
    assert merge(np.zeros((0, 4)), np.zeros(0), np.zeros(0)).tolist() == []


def test_a_photo(shipped, shared):
    """Faces of 20 to 30 px, sure ones by a detector: each once, and none that it has not seen at all."""
    truth = np.loadtxt(shared / "eval" / "groups" / "1.txt")
    faces = TiledPredictor(Predictor.load("small", threads=1), min_face_px=20)(shared / "eval" / "groups" / "1.jpg")
    shared_area = box_iou(truth[truth[:, 4] >= 0.75, :4], faces.box) > 0.5
    assert len(shared_area) == 52 and (shared_area.sum(1) == 1).mean() > 0.98 and (shared_area.sum(1) < 2).all()
    assert (box_iou(faces.box, truth[:, :4]).max(1) > 0.3).all()


@pytest.fixture
def squares(tmp_path, monkeypatch) -> None:
    """A working directory with crowd.png, two small faces and a large one, and `Squares` for the network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mfn.inference.predictor.open_session", lambda path, threads, providers: Squares())
    write_image("crowd.png", paint(300, 700, np.array([[20, 20, 38, 38], [400, 200, 418, 218], [200, 50, 300, 150]])))


def test_detect(squares, capsys):
    assert main(["detect", "crowd.png", "--no-draw", "--no-json"]) == 0
    assert "1 face\n" in capsys.readouterr().out
    assert main(["detect", "crowd.png", "--no-draw", "--no-json", "--tiles", "--least", "16"]) == 0
    assert "3 faces\n" in capsys.readouterr().out
    assert main(["detect", "crowd.png", "--tiles", "--least", "0"]) == 1
    assert "mfn: expected a smallest face of 4 px or more, got 0" in capsys.readouterr().err


def test_animate(squares, tmp_path, capsys):
    assert main(["animate", "crowd.png", "--tiles", "--least", "16", "--out", "x.npz"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 people\nwrote x.npz")
    (tmp_path / "x.mp4").touch()
    assert main(["animate", "x.mp4", "--tiles"]) == 1
    assert "x.mp4: --tiles works on pictures, but this is a clip" in capsys.readouterr().err


def test_bad_least():
    with pytest.raises(ValueError, match="4 px or more, got 0"):
        TiledPredictor(Predictor(Squares()), min_face_px=0)
