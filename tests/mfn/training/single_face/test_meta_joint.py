"""The meta-joint optimization of 3DDFA_V2."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from mfn.models.sfn import Regressor  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from mfn.training.data.crops import CropMaker  # noqa: E402
from mfn.training.optimizer import OneCycle  # noqa: E402
from mfn.training.single_face.meta_joint import MetaJointModule  # noqa: E402
from tests.helpers.training import crop_packs, tiny_backbone  # noqa: E402

MODEL = HeadModel.load()

def test_meta_joint_keeps_the_better_copy(tmp_path):
    from lightning.pytorch import Trainer
    from torch.utils.data import DataLoader, IterableDataset

    maker = CropMaker(crop_packs(), [1.0], [np.zeros((150, 150, 3), np.uint8)], MODEL)

    class Batches(IterableDataset):
        def __iter__(self):
            rng = np.random.default_rng(0)
            while True:
                yield maker.batch(4, rng)

    torch.manual_seed(0)
    system = MetaJointModule(Regressor(tiny_backbone()), OneCycle(steps=7), look_ahead=2)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
    Trainer(max_epochs=1, limit_train_batches=9, accelerator="cpu", default_root_dir=tmp_path, **quiet).fit(
        system, DataLoader(Batches(), batch_size=None)
    )
    assert sum(system.wins.values()) == 3
    for own, other in zip(system.network.parameters(), system.other.parameters(), strict=True):
        torch.testing.assert_close(own, other)  # the last batch was a choice
