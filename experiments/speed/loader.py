"""Measure how many scenes and crops a second one core composes, beside the steps that train on them.

    python -m experiments.speed.loader
    python -m experiments.speed.loader --device cuda --seconds 5 --profile 10

The pictures are rendered heads. `scenes` are those of `SceneDataModule`, which worker processes compose; `planned scenes` and `planned
crops` those of `DeviceDataModule`, composed by OpenCV as on a machine without a GPU. The step is that of the default MFN on scenes of the
same size, forward and backward. All runs in one thread, and its own CPU time counts, so that other work on the machine changes little.

With another `--device`, planned scenes and crops are composed there, the step runs there in bfloat16, and the time of the clock counts,
until the device is done. `--profile` prints which operators a number of steps spend their time on. The script writes
experiments/results/speed/loader.json; figures of another device only where `--out` says.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from lightning.fabric.utilities import move_data_to_device

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
ROWS = 25  # of the table of operators


def clock(device: torch.device) -> float:
    """Return the CPU time of this process in seconds, or the time of the clock when another device has done its work."""
    if device.type == "cpu":
        return time.process_time()
    torch.get_device_module(device).synchronize()
    return time.perf_counter()


def per_second(work: Callable[[], object], items: int, seconds: float, device: torch.device) -> float:
    """Return how many items a function makes in a second, that makes `items` each time; the first call is not counted.

    Args:
        work: The function.
        items: What a call makes.
        seconds: How long it is called.
        device: Whose time counts, as of `clock`.
    """
    work()
    start, calls = clock(device), 0
    while calls == 0 or clock(device) - start < seconds:
        work()
        calls += 1
    return round(items * calls / (clock(device) - start), 1)


def planned(module: DeviceDataModule, device: torch.device) -> Callable[[], object]:
    """Return a function that plans a batch and composes it on a device."""
    module.setup()
    plans = iter(module.train_dataloader())
    return lambda: module.on_after_batch_transfer(move_data_to_device(next(plans), device), 0)


def training_step(scenes: SceneDataModule, device: torch.device) -> Callable[[], object]:
    """Return a function that does a forward and a backward pass of the default MFN on a batch of scenes, on a device."""
    network = MFN(Backbone("conv", [16, 32, 64, 128, 192], [0, 0, 1, 3, 2]), (32, 96), (32, 96), refinement_channels=32, refinement_steps=2)
    module = MultiFaceModule(network).to(device)
    batch = move_data_to_device(next(iter(scenes.train_dataloader())), device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu"):
            features = module._features(batch)
        terms = module.losses(features, batch)
        torch.stack([weight * terms[name] for name, weight in module.loss_weights.items()]).sum().backward()

    return step


def operators(work: Callable[[], object], calls: int, device: torch.device) -> str:
    """Return a table of the operators on which some calls of a function spend the most time; a call before them is not counted."""
    activities = {torch.profiler.ProfilerActivity.CPU, getattr(torch.profiler.ProfilerActivity, device.type.upper())}
    order = f"self_{'cpu' if device.type == 'cpu' else 'device'}_time_total"
    work()
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(calls):
            work()
        clock(device)
    return str(profile.key_averages().table(sort_by=order, row_limit=ROWS, max_name_column_width=60))


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--heads", type=int, default=400, help="number of rendered heads")
    parser.add_argument("--seconds", type=float, default=20, help="CPU time for each figure")
    parser.add_argument("--rendered", type=Path, default=Path("runs/rendered"), help="folder in which the heads are kept")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="where the pictures are composed: cpu, cuda")
    parser.add_argument("--profile", type=int, default=0, metavar="STEPS", help="print the operators of that many training steps")
    options = parser.parse_args()
    device = options.device
    limit_threads(0)
    heads = RenderedHeads(options.heads, folder=options.rendered)
    scenes = SceneDataModule(rendered=heads, size=SIZE, batch_size=BATCH, workers=0)
    scenes.setup()
    sources = PackSources(rendered=heads)
    loader = iter(scenes.train_dataloader())
    plans = {
        "planned scenes": planned(DeviceDataModule(sources, SceneRecipe(SIZE), BATCH, workers=0), device),
        "planned crops": planned(DeviceDataModule(sources, CropRecipe(CROP_PX), CROPS, workers=0), device),
    }
    step = training_step(scenes, device)
    figures: Figures = {"size_px": SIZE, "crop_px": CROP_PX, "rendered_heads": options.heads}
    if device.type != "cpu":
        figures["device"] = torch.get_device_module(device).get_device_name()
    # Worker processes compose these on the CPU, whatever the device is.
    figures["scenes_per_second"] = per_second(lambda: next(loader), BATCH, options.seconds, torch.device("cpu"))
    figures["planned_scenes_per_second"] = per_second(plans["planned scenes"], BATCH, options.seconds, device)
    figures["planned_crops_per_second"] = per_second(plans["planned crops"], CROPS, options.seconds, device)
    figures["trained_scenes_per_second"] = per_second(step, BATCH, options.seconds, device)
    if device.type == "cpu" or options.out != RESULT:
        save_report(options, __file__, figures)
    for name, value in figures.items():
        print(f"{name:26} {value}")
    if options.profile:
        print(operators(step, options.profile, device))


if __name__ == "__main__":
    main()
