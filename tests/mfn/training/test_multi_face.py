"""The network, its training and its export, on tiny networks and scenes made in code."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

import torch.nn.functional as F  # noqa: E402

from mfn.inference.decode import decode  # noqa: E402
from mfn.models.backbone import Backbone  # noqa: E402
from mfn.models.mfn import MFN, Features  # noqa: E402
from mfn.structures.cells import (  # noqa: E402
    CELL_SIZE,
    IDENTITY_SIZE,
    PAD_GRAY,
    PARAMETERS,
    SLICES,
    STRIDES,
    grid,  # noqa: E402
)
from mfn.structures.faces import Faces  # noqa: E402
from mfn.structures.flip import cell_flip  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from mfn.training.data.batch import Batch, collate  # noqa: E402
from mfn.training.data.scenes import Scene  # noqa: E402
from mfn.training.multi_face import LOSS_WEIGHTS, MultiFaceModule  # noqa: E402
from retarget.arkit import EXPRESSION_NAMES  # noqa: E402

ROOT = Path(__file__).parents[3]
MODEL = HeadModel.load()


def tiny(block: str = "conv", refinement_channels: int = 0) -> MFN:
    torch.manual_seed(0)
    return MFN(Backbone(block, [8, 8, 16, 16, 16], [0, 0, 1, 0, 0]), (16, 16), (16, 16), refinement_channels=refinement_channels)


def scene(seed: int = 0, side: int = 128) -> Scene:
    """Two bright ovals that call themselves faces."""
    rng = np.random.default_rng(seed)
    faces = Faces(
        image=np.zeros(2),
        box=np.zeros((2, 4)),
        score=np.ones(2),
        rotation=np.tile(np.diag([1.0, -1, -1]), (2, 1, 1)),
        scale=[250.0, 330.0],
        center=[[35.0, 40], [90, 80]],
        identity=rng.normal(size=(2, IDENTITY_SIZE)),
        expression=rng.uniform(0, 0.5, (2, len(EXPRESSION_NAMES))),
        track=[-1, -1],
    )
    faces = faces.replace(box=MODEL.boxes(faces))
    picture = rng.integers(0, 60, (side, side, 3)).astype(np.uint8)
    for x1, y1, x2, y2 in faces.box.astype(int).clip(0, side):
        picture[y1:y2, x1:x2] += 150
    return Scene(picture, faces, np.ones(2, bool), np.zeros((0, 4), np.float32))


@pytest.mark.parametrize("block", ["conv", "fire"])
@pytest.mark.parametrize("size", [(64, 128), (192, 64)])
def test_network_gives_a_row_a_cell(block, size):
    cells = tiny(block).eval()(torch.zeros(2, 3, *size))
    assert cells.shape == (2, len(grid(*size)[0]), CELL_SIZE)
    assert cells[..., SLICES["score"]].sigmoid().max() < 0.05, "an untrained network sees no faces"


def test_cells_stand_where_the_grid_says():
    """What changes when one corner of the picture changes must be cells near that corner."""
    network = tiny().eval()
    picture = torch.zeros(1, 3, 256, 256)
    other = picture.clone()
    other[..., 192:, :64] = 255  # bottom left
    moved = (network(other) - network(picture)).abs().sum(-1)[0]
    center, stride = grid(256, 256)
    fine = stride == 8
    x, y = center[fine][int(moved[fine].argmax())]
    assert x < 128 < y


@pytest.mark.parametrize(("height", "width"), [(16, 16), (80, 208), (96, 304), (176, 32)])
def test_every_size_has_the_cells_of_the_grid(height, width):
    network = tiny().eval()
    picture = torch.zeros(1, 3, height, width)
    with torch.no_grad():
        cells = network(picture)
        picture[..., -16:, -16:] = 255  # bottom right
        moved = (network(picture) - cells).abs().sum(-1)[0]
    center, stride = grid(height, width)
    assert cells.shape[:2] == (1, len(center))
    x, y = center[stride == 8][int(moved[stride == 8].argmax())]
    assert x > width - 32 and y > height - 32


def test_every_loss_falls_when_one_scene_is_learned():
    torch.manual_seed(0)
    system = MultiFaceModule(tiny())
    batch = collate([scene(0), scene(0)])
    optimizer = torch.optim.AdamW(system.parameters(), 3e-3)
    first: dict[str, float] = {}
    for step in range(60):
        terms = system.losses(system.network.forward_features(batch.picture.float()), batch)
        assert set(terms) == set(LOSS_WEIGHTS)
        total = sum(LOSS_WEIGHTS[k] * v for k, v in terms.items())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        if step == 0:
            first = {k: v.item() for k, v in terms.items()}
    last = {k: v.item() for k, v in terms.items()}
    assert all(last[k] < first[k] for k in ("box", "landmarks", "pose_landmarks", "expression")), (first, last)
    assert last["landmarks"] < 0.5 * first["landmarks"]


def test_losses_without_faces_are_finite():
    empty = Scene(scene().picture, Faces.empty(IDENTITY_SIZE), np.zeros(0, bool), np.array([[0, 0, 40, 40.0]], np.float32))
    batch = collate([empty])
    system = MultiFaceModule(tiny()).eval()  # one scene's deepest map is one cell: too little for batch statistics
    terms = system.losses(system.network.forward_features(batch.picture.float()), batch)
    assert all(torch.isfinite(v) for v in terms.values())
    sum(terms.values()).backward()


def test_exact_cells_cost_next_to_nothing():
    """Cells written from the truth make every loss of a face vanish: targets, decoding and assignment agree."""
    from mfn.structures.cells import write_cells
    from mfn.training.target_assignment import assign_targets

    one = scene()
    one = one._replace(faces=one.faces.replace(expression=one.faces.expression.clip(1e-4, 1)))
    batch = collate([one])
    center, stride = grid(128, 128)
    cells = np.zeros((1, len(center), CELL_SIZE), np.float32)
    cells[..., SLICES["score"]] = -12
    pairs = assign_targets(batch.box, batch.image, torch.from_numpy(center), torch.from_numpy(stride), 1)
    rows, who = pairs.cell.numpy(), pairs.face.numpy()
    cells[0, rows] = write_cells(one.faces[who].replace(score=np.ones(len(who))), center[rows], stride[rows])
    terms = MultiFaceModule(tiny()).losses(Features(torch.from_numpy(cells[:, :0]), torch.from_numpy(cells), []), batch)
    for name, value in terms.items():
        assert value.item() < 2e-3, (name, value.item())


def test_faces_of_which_only_the_box_is_known_teach_only_the_box():
    one = scene()
    batch = collate([one._replace(has_labels=np.zeros(2, bool))])
    system = MultiFaceModule(tiny()).eval()  # one scene's deepest map is one cell: too little for batch statistics
    terms = system.losses(system.network.forward_features(batch.picture.float()), batch)
    assert terms["box"] > 0 and terms["landmarks"] == 0 and terms["expression"] == 0


def test_unsure_regions_ask_nothing():
    one = scene()
    nothing = Scene(one.picture, Faces.empty(IDENTITY_SIZE), np.zeros(0, bool), np.zeros((0, 4), np.float32))
    unsure = nothing._replace(ignore_box=np.array([[0, 0, 128, 128.0]], np.float32))
    system = MultiFaceModule(tiny()).eval()  # one scene's deepest map is one cell: too little for batch statistics
    batches = collate([nothing]), collate([unsure])
    asked, free = (system.losses(system.network.forward_features(b.picture.float()), b)["score"].item() for b in batches)
    assert asked > 0 and free == 0


def test_collate_counts_pictures():
    batch = collate([scene(0), scene(1)])
    assert isinstance(batch, Batch) and batch.image.tolist() == [0, 0, 1, 1] and batch.picture.shape == (2, 3, 128, 128)


def test_unknown_loss_weight_is_refused():
    with pytest.raises(ValueError, match="loss_weights"):
        MultiFaceModule(tiny(), loss_weights={"landmark": 1.0})


def test_training_goes_on_from_saved_weights(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    first = tiny()
    with torch.no_grad():
        first.lateral[0].weight.add_(1.0)
    path = tmp_path / "w.safetensors"
    safetensors.save_file({k: v.contiguous() for k, v in first.state_dict().items()}, path)
    again = MultiFaceModule(tiny(), weights=path).network
    torch.testing.assert_close(again.lateral[0].weight, first.lateral[0].weight)
    torch.save({"state_dict": MultiFaceModule(first).state_dict()}, tmp_path / "w.ckpt")
    once_more = MultiFaceModule(tiny(), weights=tmp_path / "w.ckpt").network
    torch.testing.assert_close(once_more.lateral[0].weight, first.lateral[0].weight)
    with pytest.raises(FileNotFoundError, match="expected weights to start from"):
        MultiFaceModule(tiny(), weights=tmp_path / "none")


@pytest.mark.parametrize(("mirror", "refine"), [(False, 0), (True, 0), (True, 8)])
def test_export_agrees_with_torch(tmp_path, mirror, refine):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from mfn.models.export.to_onnx import enable_mirror_tta, write_onnx

    network = tiny(refinement_channels=refine).eval()
    if mirror:
        enable_mirror_tta(network)
    if refine:
        network.refiner.out.weight.data.normal_(std=0.02)  # an untrained one changes nothing
        network.coarse.out_box.weight.data *= 100  # and has no best cells
    for p in network.parameters():
        p.data = p.data.half().float()  # what the file keeps
    path = tmp_path / "tiny.onnx"
    write_onnx(network, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for shape in ((1, 64, 64), (3, 128, 192), (2, 80, 208), (1, 16, 16)):
        image = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
        ours = network(torch.from_numpy(image).permute(0, 3, 1, 2).float()).detach().numpy()
        theirs = session.run(["cells"], {"image": image})[0]
        np.testing.assert_allclose(theirs, ours, rtol=1e-2, atol=2e-2)
        assert decode(theirs, shape[1], shape[2]).identity.shape[1] == IDENTITY_SIZE
    assert not list(tmp_path.glob("*.part"))


def test_looks_are_chosen_when_a_network_is_exported():
    from mfn.models.export.to_onnx import set_refinement_steps

    network = tiny(refinement_channels=8).eval()
    network.refiner.out.bias.data.fill_(0.5)
    picture = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        first = network.forward_features(picture).cells
        for looks in (1, 3):
            set_refinement_steps(network, looks)
            moved = (network(picture) - first)[..., PARAMETERS].amax()
            torch.testing.assert_close(moved, torch.tensor(0.5 * looks), rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="--refinement-steps: expected 1 to 9, got 0"):
        set_refinement_steps(network, 0)
    with pytest.raises(ValueError, match="expected an MFN with a refinement head, got MFN without"):
        set_refinement_steps(tiny(), 1)


def test_large_faces_are_read_once_more_in_mirror_half_a_cell_further():
    from mfn.models.export.to_onnx import enable_mirror_tta

    network = tiny().eval()
    for out in (network.coarse.out_box, network.coarse.out_pose, network.coarse.out_identity, network.coarse.out_expression):
        out.weight.data *= 100  # an untrained one says nearly nothing
    picture, gray = torch.rand(1, 3, 128, 192) * 255, float(PAD_GRAY)
    largest = grid(128, 192)[1] == STRIDES[-1]
    order, sign = cell_flip(HeadModel.load().identity_mirror)

    def cells_of(padded):  # of the largest stride, of a picture with one cell more each way
        return network(padded)[0].numpy()[grid(*padded.shape[2:])[1] == STRIDES[-1]].reshape(3, 4, -1)

    with torch.no_grad():
        once = network(picture)[0].numpy()
        seen = cells_of(F.pad(picture, (0, 64, 0, 64), value=gray))[:2, :3]
        four = cells_of(F.pad(picture.flip(3), (32, 32, 32, 32), value=gray))[:, ::-1][..., order] * sign
        enable_mirror_tta(network)
        twice = network(picture)[0].numpy()
    np.testing.assert_array_equal(once[~largest], twice[~largest])
    between = (four[1:, 1:] + four[1:, :-1] + four[:-1, 1:] + four[:-1, :-1]) / 4
    assert np.abs(between - seen).max() > 1e-3
    np.testing.assert_allclose(twice[largest].reshape(2, 3, -1), (seen + between) / 2, atol=1e-5)


BASE = "mfn/default.yaml"  # configurations in its folder, and wandb.yaml, hold only what differs from it
CONFIGS = sorted(str(p.relative_to(ROOT / "configs")) for p in (ROOT / "configs").rglob("*.yaml") if p.parent.name != "parts")


@pytest.mark.parametrize("config", CONFIGS)
def test_configs_build(config):
    from lightning.pytorch import LightningDataModule, LightningModule
    from lightning.pytorch.cli import LightningCLI

    files = [config] if config == BASE or config.split("/")[0] not in ("mfn", "wandb.yaml") else [BASE, config]
    args = [part for name in files for part in ("--config", str(ROOT / "configs" / name))]
    args += ["--trainer.logger", "false"] if config != "wandb.yaml" else []
    if config == "wandb.yaml":
        pytest.importorskip("wandb")
    cli = LightningCLI(run=False, args=args, save_config_callback=None)
    assert isinstance(cli.model, LightningModule) and isinstance(cli.datamodule, LightningDataModule)
    assert isinstance(cli.model.network, MFN) == (files[0] == BASE)
