"""The single-face networks: their crops, costs, training steps and predictor, on tiny networks."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from mfn.inference.single_face import SingleFace, sample_position_map  # noqa: E402
from mfn.models.backbone import Backbone  # noqa: E402
from mfn.models.dense_landmarks import DenseLandmarks  # noqa: E402
from mfn.models.position_map import MAP_SIZE, PositionMap  # noqa: E402
from mfn.models.sfn import SFN, Regressor  # noqa: E402
from mfn.structures.cells import (  # noqa: E402
    IDENTITY_SIZE,
    PARAMETER_FIELDS,  # noqa: E402
    PARAMETER_SIZE,
    PARAMETERS,
    write_cells,  # noqa: E402
)
from mfn.structures.crop_geometry import CROP_CELLS, CROP_SIZE, crop_face, crop_matrix, crop_windows  # noqa: E402
from mfn.structures.faces import Faces  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from mfn.training.checkpoints import load_matching  # noqa: E402
from mfn.training.data.crops import CropMaker, rotate_faces  # noqa: E402
from mfn.training.data.packs import Pack  # noqa: E402
from mfn.training.losses import vdc_loss, wing_loss, wpdc_loss  # noqa: E402
from mfn.training.meta_joint import MetaJointModule  # noqa: E402
from mfn.training.optimizer import OneCycle  # noqa: E402
from mfn.training.single_face import SingleFaceModule  # noqa: E402
from mfn.training.single_face_losses import (  # noqa: E402
    DenseLandmarkLoss,
    ParameterLoss,
    PositionMapLoss,
    TddfaLoss,
    nearest_cells,
    read_crops,
    tddfa_parameters,
)
from retarget.arkit import EXPRESSION_NAMES  # noqa: E402

MODEL = HeadModel.load()


def backbone(block: str = "conv") -> Backbone:
    return Backbone(block, [8, 8, 16, 16, 16], [0, 0, 0, 0, 0])


def networks() -> dict:
    torch.manual_seed(0)
    return {
        "sfn": SFN(backbone(), 16, 16),
        "fire": SFN(backbone("fire"), 16, 16),
        "single scale": SFN(backbone(), 16, 16, multi_scale=False),
        "regressor": Regressor(backbone()),
        "position map": PositionMap(backbone(), (16, 16, 8, 8)),
        "dense": DenseLandmarks(0.25),
    }


def some_faces(count: int = 3, seed: int = 0) -> Faces:
    from mfn.structures.camera import FRONTAL
    from retarget.geometry.rotations import rotation_about

    rng = np.random.default_rng(seed)
    turn = [rotation_about("y", np.float32(a)) @ rotation_about("x", np.float32(b)) @ FRONTAL for a, b in rng.normal(0, 0.4, (count, 2))]
    faces = Faces(
        image=np.zeros(count),
        box=np.zeros((count, 4)),
        score=np.ones(count),
        rotation=np.stack(turn),
        scale=rng.uniform(500, 650, count),
        center=rng.uniform(55, 75, (count, 2)),
        identity=rng.normal(size=(count, IDENTITY_SIZE)),
        expression=rng.uniform(0.01, 0.5, (count, len(EXPRESSION_NAMES))),
        track=np.full(count, -1),
    )
    return faces.replace(box=MODEL.boxes(faces))


def truth_of(faces: Faces) -> dict:
    return {name: torch.from_numpy(getattr(faces, name)) for name in PARAMETER_FIELDS}


def exact_raw(faces: Faces) -> torch.Tensor:
    center = np.full((len(faces), 2), CROP_SIZE / 2, np.float32)
    stride = np.full(len(faces), CROP_SIZE / CROP_CELLS, np.float32)
    return torch.from_numpy(write_cells(faces, center, stride)[:, PARAMETERS])


@pytest.mark.parametrize("name", list(networks()))
def test_networks_give_what_is_read(name):
    given = networks()[name].eval()(torch.zeros(2, 3, CROP_SIZE, CROP_SIZE))
    shapes = {"position map": (2, 3, MAP_SIZE, MAP_SIZE), "dense": (2, 520, 3)}
    assert given.shape == shapes.get(name, (2, PARAMETER_SIZE))
    if name not in shapes:
        told = read_crops(given)
        assert (told["expression"] < 0.15).all() and torch.allclose(told["rotation"], torch.diag(torch.tensor([1.0, -1, -1])), atol=0.3)


def test_the_single_scale_twin_is_as_large():
    both = [SFN(Backbone("conv", [16, 32, 64, 128, 192], [0, 0, 1, 2, 1]), 96, 256, multi_scale=m) for m in (True, False)]
    many, one = (sum(p.numel() for p in n.parameters()) for n in both)
    assert one == pytest.approx(many, rel=0.1)


def test_exact_parameters_cost_nothing():
    faces = some_faces()
    raw, true = exact_raw(faces), truth_of(faces)
    for cost in (ParameterLoss(), *(TddfaLoss(k) for k in ("pdc", "wpdc", "fwpdc", "vdc"))):
        assert sum(cost(raw, true).values()).item() < 1e-2
        assert sum(cost(raw + 0.2, true).values()).item() > 0.02
    with pytest.raises(ValueError, match="kind"):
        TddfaLoss("pwdc")
    with pytest.raises(ValueError, match="weights"):
        ParameterLoss({"landmark": 1})


def test_effects_are_how_far_the_points_move():
    """Against the slow meaning: the true face with one parameter moved, all points projected again."""
    faces = some_faces(2)
    true, cost = truth_of(faces), TddfaLoss("wpdc")
    effects, base = cost.effects(true), tddfa_parameters(true)

    def place(p: torch.Tensor) -> torch.Tensor:
        shape = cost.face.shape(p[:, 8 : 8 + IDENTITY_SIZE], p[:, 8 + IDENTITY_SIZE :])
        return shape @ p[:, :6].unflatten(1, (2, 3)).transpose(1, 2) + p[:, None, 6:8]

    start = place(base)
    for k in (0, 2, 4, 6, 7, 8, 40, 8 + IDENTITY_SIZE, base.shape[1] - 1):
        moved = base.clone()
        moved[:, k] += 0.1
        there = (place(moved) - start).flatten(1).norm(dim=1) / 0.1
        torch.testing.assert_close(effects[:, k], there, rtol=2e-3, atol=1e-4)


def test_fast_effects_are_near():
    true = truth_of(some_faces(8))
    slow, fast = (TddfaLoss(k).effects(true) for k in ("wpdc", "fwpdc"))
    assert torch.corrcoef(torch.stack([slow.flatten(), fast.flatten()]))[0, 1] > 0.95
    assert (fast[:, 8:] >= slow[:, 8:] - 1e-4).all(), "a whole vector is no shorter than what a camera sees of it"


def test_wpdc_weighs_by_the_points_moved():
    true = torch.zeros(1, 3)
    predicted = torch.tensor([[0.1, 0.1, 0.2]], requires_grad=True)
    value = wpdc_loss(predicted, true, torch.tensor([4.0, 1.0, 1.0]))
    weights = np.array([0.4, 0.1, 0.2]) / 0.4
    assert value.item() == pytest.approx((weights * np.array([0.01, 0.01, 0.04])).sum())
    value.sum().backward()
    np.testing.assert_allclose(predicted.grad[0].numpy(), 2 * weights * [0.1, 0.1, 0.2], rtol=1e-5)


def test_vdc_is_the_mean_squared_distance():
    a, b = torch.rand(2, 5, 2), torch.rand(2, 5, 2)
    slow = [np.mean([sum((a[i, j, c] - b[i, j, c]).item() ** 2 for c in range(2)) for j in range(5)]) for i in range(2)]
    np.testing.assert_allclose(vdc_loss(a, b).numpy(), slow, rtol=1e-5)


def test_wing_is_the_published_formula():
    error = np.array([0.0, 0.5, 9.99, 10.0, 10.01, 40.0], np.float32)
    shift = 10 - 10 * np.log(1 + 10 / 2)
    slow = np.where(error < 10, 10 * np.log(1 + error / 2), error - shift)
    fast = wing_loss(torch.from_numpy(error)[:, None, None], torch.zeros(6, 1, 1))
    np.testing.assert_allclose(fast.numpy(), slow, rtol=1e-4)


def test_position_map_and_head_model_agree():
    """The cost's target is the head model's map of the placed face, and landmarks read from it are the head model's."""
    faces = some_faces(1)
    cost = PositionMapLoss()
    target = cost.target_maps(truth_of(faces)).unflatten(2, (MAP_SIZE, MAP_SIZE)).numpy()
    assert cost(torch.from_numpy(target), truth_of(faces))["position_map"].item() < 1e-6
    px = (target - [[[[0]], [[0]], [[0.5]]]]) * 1.1 * CROP_SIZE
    for name, mean_px, largest_px in (("ibug68", 0.25, 1.4), ("mediapipe478", 0.2, 1.4)):
        gap = np.linalg.norm(sample_position_map(px, MODEL, name)[0] - MODEL.landmarks(faces, name)[0], axis=1)
        assert np.nanmean(gap) < mean_px and np.nanmax(gap) < largest_px, name


def test_nearest_cells_are_the_nearest():
    mask = np.random.default_rng(0).random((9, 9)) < 0.2
    nearest = nearest_cells(mask)
    inside = np.argwhere(mask)
    for cell, chosen in enumerate(nearest):
        here = np.array(divmod(cell, 9))
        away = np.linalg.norm(inside - here, axis=1).min()
        assert mask.reshape(-1)[chosen] and np.linalg.norm(np.array(divmod(chosen, 9)) - here) <= away + 0.3  # OpenCV's is nearly exact


def test_dense_points_are_the_head_models():
    faces = some_faces(2)
    points = torch.from_numpy(MODEL.landmarks(faces, "dense520") / CROP_SIZE)
    points[..., 2] += 0.5
    terms = DenseLandmarkLoss()(points, truth_of(faces))
    assert terms["wing"].item() < 1e-2 and terms["mse68"].item() < 1e-4


def packs() -> list[Pack]:
    rng = np.random.default_rng(0)
    faces = some_faces(4)
    faces = faces.replace(image=np.arange(4), center=faces.center + 40, box=faces.box + 40)
    pictures = [rng.integers(0, 255, (200, 210, 3)).astype(np.uint8) for _ in range(4)]
    none = np.zeros((0, 4), np.float32)
    return [Pack("p", pictures, faces, np.ones(4, bool), none, np.zeros(0, np.int32))]


def test_crops_keep_faces_in_the_middle():
    maker = CropMaker(packs(), [1.0], [np.zeros((150, 150, 3), np.uint8)], MODEL, frames=1)
    pictures, true = maker.batch(64, np.random.default_rng(0))
    assert pictures.shape == (64, 3, CROP_SIZE, CROP_SIZE) and pictures.dtype == torch.uint8
    fields = {name: value.numpy() for name, value in true.items()}
    faces = Faces(image=np.zeros(64), box=np.zeros((64, 4)), score=np.ones(64), track=np.zeros(64), **fields)
    box = MODEL.boxes(faces)
    middle, longer = (box[:, :2] + box[:, 2:]).mean(1) / 2, (box[:, 2:] - box[:, :2]).max(1)
    assert abs(middle.mean() - CROP_SIZE / 2) < 2 and middle.std() < 0.1 * CROP_SIZE
    assert np.median(longer) * 1.3 == pytest.approx(CROP_SIZE, rel=0.1)


def test_frames_show_one_face_that_moves_little():
    maker = CropMaker(packs(), [1.0], [np.zeros((150, 150, 3), np.uint8)], MODEL, frames=4)
    _, true = maker.batch(32, np.random.default_rng(1))
    identity, center = true["identity"].unflatten(0, (8, 4)), true["center"].unflatten(0, (8, 4))
    assert (identity == identity[:, :1]).all()
    step = (center[:, 1:] - center[:, :-1]).norm(dim=-1)
    assert 0 < step.mean() < 0.05 * CROP_SIZE


def test_a_crop_shows_what_its_matrix_says():
    """A bright spot at a landmark is found in the crop where the crop's label puts it, enlarged, shrunk and turned."""
    from mfn.training.data.warp import similarity_matrix

    for gain, angle in ((0.3, 0.0), (0.45, 0.6), (1.0, -0.5), (2.0, 0.3)):
        picture = np.zeros((600, 700, 3), np.uint8)
        picture[300:304, 400:404] = 255
        matrix = similarity_matrix(gain, angle, np.array([390.0, 310]), np.array([70.0, 60]), False, 0)
        crop = crop_face(picture, matrix).astype(float)[..., 0]
        y, x = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE] + 0.5
        found = np.array([(x * crop).sum(), (y * crop).sum()]) / crop.sum()
        np.testing.assert_allclose(found, matrix @ [402, 302, 1], atol=0.35, err_msg=f"{gain} {angle}")


def test_turned_faces_turn_clockwise():
    face = some_faces(1)
    turned = rotate_faces(face, np.pi / 2)
    before, after = (MODEL.landmarks(f, "ibug68")[0, :, :2] - f.center for f in (face, turned))
    np.testing.assert_allclose(after, before[:, ::-1] * [-1, 1], atol=1e-3)  # x right goes to y down


@pytest.mark.parametrize("regression", [0.0, 5.0])
def test_one_face_learns_a_batch(regression):
    torch.manual_seed(0)
    maker = CropMaker(packs(), [1.0], [np.zeros((150, 150, 3), np.uint8)], MODEL)
    batch = maker.batch(8, np.random.default_rng(0))
    system = SingleFaceModule(Regressor(backbone()), TddfaLoss("vdc"), landmark_regression=regression)
    system.log = system.log_dict = lambda *_, **__: None  # no trainer here
    optimizer = torch.optim.AdamW(system.parameters(), 3e-3)
    values = []
    for _ in range(40):
        value = system.training_step(batch, 0)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]


def test_landmark_regression_wants_features():
    with pytest.raises(ValueError, match="features"):
        SingleFaceModule(SFN(backbone(), 16, 16), ParameterLoss(), landmark_regression=1.0)


def test_meta_joint_keeps_the_better_copy(tmp_path):
    from lightning.pytorch import Trainer
    from torch.utils.data import DataLoader, IterableDataset

    maker = CropMaker(packs(), [1.0], [np.zeros((150, 150, 3), np.uint8)], MODEL)

    class Batches(IterableDataset):
        def __iter__(self):
            rng = np.random.default_rng(0)
            while True:
                yield maker.batch(4, rng)

    torch.manual_seed(0)
    system = MetaJointModule(Regressor(backbone()), OneCycle(steps=7), look_ahead=2)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
    Trainer(max_epochs=1, limit_train_batches=9, accelerator="cpu", default_root_dir=tmp_path, **quiet).fit(
        system, DataLoader(Batches(), batch_size=None)
    )
    assert sum(system.wins.values()) == 3
    for own, other in zip(system.network.parameters(), system.other.parameters(), strict=True):
        torch.testing.assert_close(own, other)  # the last batch was a choice


def test_weights_of_another_network_start_what_is_alike():
    from mfn.models.mfn import MFN

    whole, one = MFN(backbone(), (16, 16), (16, 16)), SFN(backbone(), 16, 16)
    assert load_matching(one, whole.state_dict()) >= len(one.backbone.state_dict())
    torch.testing.assert_close(one.backbone.stages[0][0][0].weight, whole.backbone.stages[0][0][0].weight)
    with pytest.raises(ValueError, match="expected tensors with names and shapes of SFN"):
        load_matching(one, {"x": torch.zeros(1)})


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("onnx")
    from mfn.models.export.to_onnx import write_onnx

    folder, files = tmp_path_factory.mktemp("single"), {}
    for name in ("sfn", "position map", "dense"):
        network = networks()[name].eval()
        for p in network.parameters():
            p.data = p.data.half().float()  # what the file keeps
        files[name] = folder / f"{name}.onnx", network
        write_onnx(network, files[name][0])
    return files


@pytest.mark.parametrize("name", ["sfn", "position map", "dense"])
def test_export_agrees_with_torch(exported, name):
    path, network = exported[name]
    crops = np.random.default_rng(0).integers(0, 255, (3, CROP_SIZE, CROP_SIZE, 3)).astype(np.uint8)
    with torch.no_grad():
        ours = network(torch.from_numpy(crops).permute(0, 3, 1, 2).float()).numpy()
    np.testing.assert_allclose(SingleFace.load(path).session.run(None, {"image": crops})[0], ours, rtol=1e-2, atol=1e-2)


def test_single_face_speaks_in_px_of_the_picture(exported):
    """An untrained network calls every face frontal in the middle of its crop: so the boxes say where its faces are."""
    single = SingleFace.load(exported["sfn"][0])
    picture = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    boxes = np.array([[20, 30, 80, 110], [150, 100, 310, 280.0], [390, 290, 420, 330]])
    faces = single(picture, boxes)
    np.testing.assert_allclose(faces.center, (boxes[:, :2] + boxes[:, 2:]) / 2, atol=30)
    np.testing.assert_allclose(faces.scale / crop_windows(boxes)[:, 2], faces.scale[0] / crop_windows(boxes)[0, 2], rtol=0.3)
    assert len(single(picture, np.zeros((0, 4)))) == 0
    assert single.landmarks(picture, boxes, "mediapipe478").shape == (3, 478, 3)
    one = single(picture, boxes[[1]])
    np.testing.assert_allclose(one.expression[0], faces.expression[1], atol=1e-4)


@pytest.mark.parametrize("name", ["position map", "dense"])
def test_point_networks_give_points(exported, name):
    single = SingleFace.load(exported[name][0])
    picture = np.zeros((300, 400, 3), np.uint8)
    points = single.landmarks(picture, np.array([[150, 100, 310, 280.0]]))
    assert points.shape == (1, 68, 3) and np.isfinite(points).all()
    np.testing.assert_allclose(points[0, :, :2].mean(0), [230, 190], atol=90)
    assert single.landmarks(picture, np.zeros((0, 4))).shape == (0, 68, 3)
    with pytest.raises(ValueError, match="use `landmarks`"):
        single(picture, np.array([[150, 100, 310, 280.0]]))


def test_bad_boxes_are_one_line(exported):
    single = SingleFace.load(exported["sfn"][0])
    picture = np.zeros((30, 40, 3), np.uint8)
    for boxes in (np.zeros(4), np.array([[5, 5, 5, 9.0]]), np.array([[0, 0, np.nan, 9]])):
        with pytest.raises(ValueError, match="boxes: expected"):
            single(picture, boxes)
    from mfn.inference.model_zoo import DEFAULT_WEIGHTS

    with pytest.raises(ValueError, match="expected a single-face network"):
        SingleFace.load(DEFAULT_WEIGHTS)


def test_crop_matrix_takes_the_window_to_the_crop():
    window = np.array([100.0, 50, 64])
    corners = crop_matrix(window) @ np.array([[68, 18, 1], [132, 82, 1.0]]).T
    np.testing.assert_allclose(corners.T, [[0, 0], [CROP_SIZE, CROP_SIZE]])
