"""The training system of the multi-face network, on tiny networks and scenes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from mfn.models.mfn import Features  # noqa: E402
from mfn.structures.cells import (  # noqa: E402
    CELL_SIZE,
    IDENTITY_SIZE,
    SLICES,
    grid,  # noqa: E402
)
from mfn.structures.faces import Faces  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from mfn.training.data.batch import collate  # noqa: E402
from mfn.training.data.scenes import Scene  # noqa: E402
from mfn.training.losses.target_assignment import Assignment, assign_targets  # noqa: E402
from mfn.training.multi_face import LOSS_WEIGHTS, MultiFaceModule  # noqa: E402
from tests.helpers.training import tiny_mfn, two_face_scene  # noqa: E402

MODEL = HeadModel.load()

def test_every_loss_falls_when_one_scene_is_learned():
    torch.manual_seed(0)
    system = MultiFaceModule(tiny_mfn())
    batch = collate([two_face_scene(0), two_face_scene(0)])
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
    empty = Scene(two_face_scene().picture, Faces.empty(IDENTITY_SIZE), np.zeros(0, bool), np.array([[0, 0, 40, 40.0]], np.float32))
    batch = collate([empty])
    system = MultiFaceModule(tiny_mfn()).eval()  # one scene's deepest map is one cell: too little for batch statistics
    terms = system.losses(system.network.forward_features(batch.picture.float()), batch)
    assert all(torch.isfinite(v) for v in terms.values())
    sum(terms.values()).backward()


def test_exact_cells_cost_next_to_nothing():
    """Cells written from the truth make every loss of a face vanish: targets, decoding and assignment agree."""
    from mfn.training.losses.target_assignment import assign_targets
    from tests.helpers.faces import write_cells

    one = two_face_scene()
    one = one._replace(faces=one.faces.replace(expression=one.faces.expression.clip(1e-4, 1)))
    batch = collate([one])
    center, stride = grid(128, 128)
    cells = np.zeros((1, len(center), CELL_SIZE), np.float32)
    cells[..., SLICES["score"]] = -12
    pairs = assign_targets(batch.box, batch.image, torch.from_numpy(center), torch.from_numpy(stride), 1)
    rows, who = pairs.cell.numpy(), pairs.face.numpy()
    cells[0, rows] = write_cells(one.faces[who].replace(score=np.ones(len(who))), center[rows], stride[rows])
    terms = MultiFaceModule(tiny_mfn()).losses(Features(torch.from_numpy(cells[:, :0]), torch.from_numpy(cells), []), batch)
    for name, value in terms.items():
        assert value.item() < 2e-3, (name, value.item())


def test_faces_of_which_only_the_box_is_known_teach_only_the_box():
    one = two_face_scene()
    batch = collate([one._replace(has_labels=np.zeros(2, bool))])
    system = MultiFaceModule(tiny_mfn()).eval()  # one scene's deepest map is one cell: too little for batch statistics
    terms = system.losses(system.network.forward_features(batch.picture.float()), batch)
    assert terms["box"] > 0 and terms["landmarks"] == 0 and terms["expression"] == 0


def some_scenes():
    """Two scenes with two faces each, of which one has no labels, one covers another, and a region is unsure."""
    one, two = two_face_scene(0), two_face_scene(1)
    crowded = two.faces.box.copy()
    crowded[1] = crowded[0] + [4, 4, -4, -4]
    two = two._replace(faces=two.faces.replace(box=crowded), ignore_box=np.array([[60, 60, 128, 128]], np.float32))
    return collate([one._replace(has_labels=np.array([True, False])), two])


def paired_one_by_one(box, image, centers, strides, pictures):
    """The pairs in another order: by face, the smaller ones last; the cells that are ignored, one by one."""
    found = assign_targets(box, image, centers, strides, pictures)
    size = (box[:, 2:] - box[:, :2]).prod(1)
    order = sorted(range(len(found.face)), key=lambda row: (-float(size[found.face[row]]), int(found.face[row]), int(found.cell[row])))
    return Assignment(*(part[order] for part in found[:3]), found.ignored)


def test_the_order_of_the_pairs_changes_no_loss(monkeypatch):
    system, batch = MultiFaceModule(tiny_mfn(refinement_channels=8)).eval(), some_scenes()
    features = system.network.forward_features(batch.picture.float())
    terms = system.losses(features, batch)
    monkeypatch.setattr("mfn.training.multi_face.assign_targets", paired_one_by_one)
    again = system.losses(features, batch)
    assert set(terms) == set(again) and terms["landmarks"] > 0
    for name, value in terms.items():
        torch.testing.assert_close(value, again[name], rtol=1e-5, atol=1e-6, msg=name)


class Waits(TorchDispatchMode):
    """Count the operators for whose result a CPU waits for the GPU: the size or the value of it depends on values."""

    def __init__(self):
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        masked = name in ("index", "index_put", "index_put_") and any(i is not None and i.dtype == torch.bool for i in args[1])
        if masked or name in ("nonzero", "masked_select", "_local_scalar_dense"):
            self.names.append(name)
        return function(*args, **(kwargs or {}))


def test_the_losses_wait_three_times_for_a_gpu():
    system, batch = MultiFaceModule(tiny_mfn(refinement_channels=8)), some_scenes()
    features = system.network.forward_features(batch.picture.float())
    with Waits() as waits:
        terms = system.losses(features, batch)
    torch.stack(list(terms.values())).sum().backward()
    assert waits.names == ["nonzero"] * 3


def test_unsure_regions_ask_nothing():
    one = two_face_scene()
    nothing = Scene(one.picture, Faces.empty(IDENTITY_SIZE), np.zeros(0, bool), np.zeros((0, 4), np.float32))
    unsure = nothing._replace(ignore_box=np.array([[0, 0, 128, 128.0]], np.float32))
    system = MultiFaceModule(tiny_mfn()).eval()  # one scene's deepest map is one cell: too little for batch statistics
    batches = collate([nothing]), collate([unsure])
    asked, free = (system.losses(system.network.forward_features(b.picture.float()), b)["score"].item() for b in batches)
    assert asked > 0 and free == 0


def test_unknown_loss_weight_is_refused():
    with pytest.raises(ValueError, match="loss_weights"):
        MultiFaceModule(tiny_mfn(), loss_weights={"landmark": 1.0})


def test_training_goes_on_from_saved_weights(tmp_path, capsys):
    safetensors = pytest.importorskip("safetensors.torch")
    first = tiny_mfn()
    with torch.no_grad():
        first.lateral[0].weight.add_(1.0)
    path = tmp_path / "w.safetensors"
    safetensors.save_file({k: v.contiguous() for k, v in first.state_dict().items()}, path)
    again = MultiFaceModule(tiny_mfn(), weights=path).network
    torch.testing.assert_close(again.lateral[0].weight, first.lateral[0].weight)
    torch.save({"state_dict": MultiFaceModule(first).state_dict()}, tmp_path / "w.ckpt")
    once_more = MultiFaceModule(tiny_mfn(), weights=tmp_path / "w.ckpt").network
    torch.testing.assert_close(once_more.lateral[0].weight, first.lateral[0].weight)
    part = {k: v.contiguous() for k, v in first.state_dict().items() if k.startswith("lateral.")}
    safetensors.save_file(part, tmp_path / "part.safetensors")
    started = MultiFaceModule(tiny_mfn(), weights=tmp_path / "part.safetensors").network
    torch.testing.assert_close(started.lateral[0].weight, first.lateral[0].weight)
    assert "these layers begin anew: backbone" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match="expected weights to start from"):
        MultiFaceModule(tiny_mfn(), weights=tmp_path / "none")
