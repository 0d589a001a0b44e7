"""Measure how many scenes and crops a second one core composes, beside the steps that train on them.

    python -m experiments.speed.loader

The pictures are rendered heads. `scenes` are those of `SceneDataModule`, which worker processes compose; `planned scenes` and `planned
crops` those of `DeviceDataModule`, composed by OpenCV as on a machine without a GPU. The step is that of the default MFN on scenes of the
same size, forward and backward. All runs in one thread, and its own CPU time counts, so that other work on the machine changes little.
The script writes experiments/results/speed/loader.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from experiments.common import RESULTS, Figures, make_parser, save_report
from mfn.models.backbone import Backbone
from mfn.models.mfn import MFN
from mfn.training.data.scene_datamodule import SceneDataModule
from mfn.training.data.workers import limit_threads
from mfn.training.device.datamodule import CropRecipe, DeviceDataModule, SceneRecipe
from mfn.training.multi_face import MultiFaceModule
from mfn.training.packs.rendered_heads import RenderedHeads
from mfn.training.packs.sources import PackSources

RESULT = RESULTS / "speed" / "loader.json"
SIZE, BATCH, CROP_PX, CROPS = 256, 8, 64, 256


def per_second(work: Callable[[], object], items: int, seconds: float) -> float:
    """Return how many items a function makes in a second of CPU time, that makes `items` each time; the first call is not counted."""
    work()
    start, calls = time.process_time(), 0
    while time.process_time() - start < seconds:
        work()
        calls += 1
    return round(items * calls / (time.process_time() - start), 1)


def planned(module: DeviceDataModule) -> Callable[[], object]:
    """Return a function that plans and composes a batch."""
    module.setup()
    plans = iter(module.train_dataloader())
    return lambda: module.on_after_batch_transfer(next(plans), 0)


def training_step(scenes: SceneDataModule) -> Callable[[], object]:
    """Return a function that does a forward and a backward pass of the default MFN on a batch of scenes."""
    network = MFN(Backbone("conv", [16, 32, 64, 128, 192], [0, 0, 1, 3, 2]), (32, 96), (32, 96), refinement_channels=32, refinement_steps=2)
    module, batch = MultiFaceModule(network), next(iter(scenes.train_dataloader()))

    def step() -> None:
        terms = module.losses(module._features(batch), batch)
        torch.stack([weight * terms[name] for name, weight in module.loss_weights.items()]).sum().backward()

    return step


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--heads", type=int, default=400, help="number of rendered heads")
    parser.add_argument("--seconds", type=float, default=20, help="CPU time for each figure")
    parser.add_argument("--rendered", type=Path, default=Path("runs/rendered"), help="folder in which the heads are kept")
    options = parser.parse_args()
    limit_threads(0)
    heads = RenderedHeads(options.heads, folder=options.rendered)
    scenes = SceneDataModule(rendered=heads, size=SIZE, batch_size=BATCH, workers=0)
    scenes.setup()
    sources = PackSources(rendered=heads)
    loader = iter(scenes.train_dataloader())
    plans = {
        "planned scenes": planned(DeviceDataModule(sources, SceneRecipe(SIZE), BATCH, workers=0)),
        "planned crops": planned(DeviceDataModule(sources, CropRecipe(CROP_PX), CROPS, workers=0)),
    }
    figures: Figures = {"size_px": SIZE, "crop_px": CROP_PX, "rendered_heads": options.heads}
    figures["scenes_per_second"] = per_second(lambda: next(loader), BATCH, options.seconds)
    figures["planned_scenes_per_second"] = per_second(plans["planned scenes"], BATCH, options.seconds)
    figures["planned_crops_per_second"] = per_second(plans["planned crops"], CROPS, options.seconds)
    figures["trained_scenes_per_second"] = per_second(training_step(scenes), BATCH, options.seconds)
    save_report(options, __file__, figures)
    for name, value in figures.items():
        print(f"{name:26} {value}")


if __name__ == "__main__":
    main()
