"""Training through the command line: named figures, checkpoints, going on, testing, loggers, several processes."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
import yaml  # noqa: E402

from mfn.training.checkpoints import read_state  # noqa: E402
from mfn.training.multi_face import MultiFaceModule  # noqa: E402
from mfn.training.optimizer import OneCycle  # noqa: E402
from tests.mfn.training.run.runs import CONFIGS, DATA, QUIET, SCENES, fewer_backgrounds, run_folders, train  # noqa: E402

FOUR_STEPS = ["--trainer.max_steps=4", "--trainer.limit_train_batches=2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder in which all tests of this file train, so that heads are rendered once."""
    return tmp_path_factory.mktemp("trainings")


@pytest.fixture(autouse=True)
def here(place, monkeypatch) -> None:
    monkeypatch.chdir(place)
    fewer_backgrounds(monkeypatch)


def figures(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def validations(folder: Path) -> list[dict[str, float]]:
    """Return the figures of each validation of a run."""
    rows = [{name: float(row[name]) for name in row if name.startswith("val/") and row[name]} for row in figures(folder)]
    return [row for row in rows if row]


@pytest.fixture(scope="module")
def whole(place) -> Path:
    """The folder of a run of four steps, two epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        fewer_backgrounds(patch)
        assert train("fit", *SCENES, *FOUR_STEPS, "--trainer.logger.name=whole") == 0
    return run_folders(place / "runs" / "whole")[-1]


def test_a_run_has_figures_a_configuration_and_drawings(whole):
    names = figures(whole)[0].keys()
    assert {"train/loss", "val/loss", "val/box_ap50", "val/box_recall50"} <= names
    assert yaml.safe_load((whole / "config.yaml").read_text())["trainer"]["max_steps"] == 4
    assert [path.name for path in sorted((whole / "overlays").iterdir())] == ["step-000002.jpg", "step-000004.jpg"]
    hyper = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)["hyper_parameters"]
    assert hyper["schedule"]["learning_rate"] == 0.002


def test_the_last_checkpoint_is_the_newest_and_another_one_the_best(place):
    worse = ["--trainer.limit_train_batches=1", "--trainer.max_steps=3", "--model.schedule.learning_rate=3", "--trainer.logger.name=worse"]
    assert train("fit", *SCENES, *worse) == 0
    (folder,) = run_folders(place / "runs" / "worse")
    losses = [row["val/loss"] for row in validations(folder)]
    steps = {path.name: torch.load(path, weights_only=True)["global_step"] for path in (folder / "checkpoints").iterdir()}
    best = 1 + losses.index(min(losses))
    assert best < 3 and steps == {"last.ckpt": 3, "step=3.ckpt": 3, f"best-step={best}.ckpt": best}


def test_going_on_from_a_checkpoint_is_the_same_training(whole, place):
    half = ["--trainer.max_steps=2", "--trainer.limit_train_batches=2", "--model.schedule.steps=4", "--trainer.logger.name=half"]
    assert train("fit", *SCENES, *half) == 0
    middle = run_folders(place / "runs" / "half")[-1] / "checkpoints" / "last.ckpt"
    rest = [*FOUR_STEPS, "--trainer.logger.name=rest", f"--ckpt_path={middle}"]
    assert train("fit", *SCENES, *rest) == 0
    last = run_folders(place / "runs" / "rest")[-1]
    first, second = (torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True) for folder in (whole, last))
    assert first["global_step"] == second["global_step"] == 4
    for part in ("state_dict", "current_model_state"):  # the averaged weights, and those that are trained
        for name, value in first[part].items():
            torch.testing.assert_close(value, second[part][name], rtol=1e-3, atol=1e-4, msg=f"{part} {name}")


def test_going_on_heeds_a_new_number_of_steps(place):
    ended = ["--model.schedule.steps=1", "--trainer.limit_train_batches=1", "--trainer.logger.name=ended"]
    assert train("fit", *SCENES, *ended, "--trainer.max_steps=-1") == 0
    (checkpoint,) = (place / "runs" / "ended").rglob("last.ckpt")
    longer = ["--model.schedule.steps=2", "--trainer.limit_train_batches=1", "--trainer.logger.name=longer"]
    assert train("fit", *SCENES, *longer, "--trainer.max_steps=-1", f"--ckpt_path={checkpoint}") == 0
    (last,) = (place / "runs" / "longer").rglob("last.ckpt")
    assert torch.load(last, weights_only=True)["global_step"] == 2


@contextmanager
def ctrl_c_in(step: str, number: int) -> Iterator[None]:
    """Stop a training in the nth call of a step of its system, as Ctrl-C does."""
    original, calls = getattr(MultiFaceModule, step), []

    def stopped(*args):
        calls.append(step)
        if len(calls) == number:
            raise KeyboardInterrupt
        return original(*args)

    handler = signal.getsignal(signal.SIGINT)  # Lightning ignores the signal from then on
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MultiFaceModule, step, stopped)
        yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize(("step", "number", "done"), [("training_step", 4, 3), ("validation_step", 1, 2)])
def test_a_training_goes_on_from_the_checkpoint_of_ctrl_c(step, number, done, whole, place, capsys):
    with ctrl_c_in(step, number):
        assert train("fit", *SCENES, *FOUR_STEPS, f"--trainer.logger.name={step}") == 130
    (folder,) = run_folders(place / "runs" / step)
    assert [path.name for path in (folder / "checkpoints").glob("last*")] == ["last.ckpt"]
    last = folder / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == done
    assert f"next: mfn export --config {folder.relative_to(place) / 'config.yaml'} --checkpoint" in capsys.readouterr().out
    assert train("fit", *SCENES, *FOUR_STEPS, f"--trainer.logger.name={step}_rest", f"--ckpt_path={last}") == 0
    (rest,) = run_folders(place / "runs" / f"{step}_rest")
    first, second = (torch.load(path / "checkpoints" / "last.ckpt", weights_only=True) for path in (whole, rest))
    assert second["global_step"] == 4
    for part in ("state_dict", "current_model_state"):  # the averaged weights, and those that are trained
        for name, value in first[part].items():
            torch.testing.assert_close(value, second[part][name], rtol=1e-3, atol=1e-4, msg=f"{part} {name}")


def test_a_validation_that_ctrl_c_stopped_is_done_again_as_a_whole(place):
    several = ["--data.batch_size=2", "--data.validation=6", *FOUR_STEPS]
    assert train("fit", *SCENES, *several, "--trainer.logger.name=validated") == 0
    with ctrl_c_in("validation_step", 3):
        assert train("fit", *SCENES, *several, "--trainer.logger.name=cut") == 130
    (last,) = (place / "runs" / "cut").rglob("last.ckpt")
    assert train("fit", *SCENES, *several, "--trainer.logger.name=cut_rest", f"--ckpt_path={last}") == 0
    first, second = (validations(run_folders(place / "runs" / name)[-1]) for name in ("validated", "cut_rest"))
    assert [list(row) for row in first] == [list(row) for row in second] and len(first) == 2
    assert second[0] == pytest.approx(first[0], rel=1e-3, abs=1e-4)


def test_validate_and_test_read_a_checkpoint(whole, capsys):
    for verb in ("validate", "test"):
        assert train(verb, *SCENES, f"--ckpt_path={whole / 'checkpoints' / 'last.ckpt'}") == 0
        text = capsys.readouterr().out
        assert "box_ap50" in text and ("test/loss" if verb == "test" else "val/loss") in text


def test_a_checkpoint_with_python_objects_is_read_where_the_user_allows_it(whole, place):
    saved = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    torch.save(saved | {"mine": OneCycle()}, place / "objects.ckpt")
    assert train("validate", *SCENES, "--ckpt_path=objects.ckpt") == 1
    assert train("validate", *SCENES, "--ckpt_path=objects.ckpt", "--weights_only=false") == 0


def test_a_training_that_ends_inside_an_epoch_is_kept(place):
    assert train("fit", *SCENES, "--trainer.max_steps=1", "--trainer.logger.name=short") == 0
    (checkpoint,) = (place / "runs" / "short").rglob("last.ckpt")
    assert read_state(checkpoint)


def test_stopping_early_and_the_best_checkpoint_follow_a_figure(place):
    stop = ["--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping", "--trainer.callbacks.monitor=val/box_ap50",
            "--trainer.callbacks.mode=max", "--trainer.callbacks.patience=1"]  # fmt: skip
    assert train("fit", *SCENES, *stop, "--trainer.max_steps=40", "--trainer.limit_train_batches=1", "--trainer.logger.name=stop") == 0
    (checkpoint,) = (place / "runs" / "stop").rglob("last.ckpt")
    assert torch.load(checkpoint, weights_only=True)["global_step"] < 40


def test_fast_dev_run_leaves_no_configuration_and_no_drawing(place):
    folder = place / "dev"
    folder.mkdir()
    (folder / "config.yaml").write_text("# mine\n")
    assert train("fit", *SCENES, "--trainer.fast_dev_run=1", f"--trainer.default_root_dir={folder}") == 0
    assert (folder / "config.yaml").read_text() == "# mine\n" and not list(folder.rglob("*.jpg"))


def test_a_run_without_a_logger_replaces_no_configuration(place, capsys):
    folder = place / "no_logger"
    folder.mkdir()
    (folder / "config.yaml").write_text("# mine\n")
    keep = ["--trainer.callbacks=lightning.pytorch.callbacks.ModelCheckpoint", "--trainer.callbacks.save_last=true"]
    keep += ["--trainer.logger=false", f"--trainer.default_root_dir={folder}"]
    once = ["--trainer.max_steps=1", "--trainer.limit_train_batches=1"]
    assert train("fit", *SCENES, *keep, *once) == 0
    assert (folder / "config.yaml").read_text() == "# mine\n"
    assert yaml.safe_load((folder / "config-v1.yaml").read_text())["trainer"]["max_steps"] == 1
    assert f"mfn export --config {folder / 'config-v1.yaml'} " in capsys.readouterr().out


@pytest.mark.parametrize("config", ["tddfa/default.yaml", "others/mobileface.yaml"])
def test_networks_of_one_face_are_tested(config, place, capsys):
    data = ["--data.sources={}", "--data.rendered.count=24", *DATA, "--data.validation=1", *QUIET, "--trainer.precision=32-true"]
    assert train("test", *data, "--trainer.logger=false", config=config) == 0
    text = capsys.readouterr().out
    assert "test/nme" in text and "test/yaw_error_deg" in text


def test_each_run_of_wandb_keeps_its_configuration(place, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    once = ["--trainer.max_steps=1", "--trainer.limit_train_batches=1"]
    for _ in range(2):
        assert train("fit", f"--config={CONFIGS / 'wandb.yaml'}", *SCENES, *once) == 0
        wandb.finish()
    assert len(run_folders(place / "runs" / "wandb")) == 2


def test_tensorboard(place):
    pytest.importorskip("tensorboard")
    assert train("fit", f"--config={CONFIGS / 'tensorboard.yaml'}", *SCENES, *FOUR_STEPS) == 0
    (events,) = (place / "runs" / "tensorboard").rglob("events.out.*")
    assert b"val/overlays" in events.read_bytes() and b"val/box_ap50" in events.read_bytes()


def test_a_missing_pack_is_one_line(place, capsys):
    assert train("fit", "--trainer.logger=false", config="mfn/default.yaml") == 1
    assert "missing packs: data/faces/lfw.tar" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["fit", "validate"])
@pytest.mark.parametrize(("name", "message"), [
    ("cut.ckpt", "not a checkpoint that can be read"), ("weights.safetensors", "expected a checkpoint (.ckpt), got weights alone"),
    ("other.ckpt", "expected a checkpoint of the network of this configuration"), ("none.ckpt", "no such checkpoint"),
])  # fmt: skip
def test_a_wrong_checkpoint_is_one_line(verb, name, message, whole, place, capsys):
    last = (whole / "checkpoints" / "last.ckpt").read_bytes()
    (place / "cut.ckpt").write_bytes(last[: len(last) // 2])
    (place / "weights.safetensors").write_bytes(b"weights")
    torch.save({"state_dict": {"network.x": torch.zeros(3)}}, place / "other.ckpt")
    assert train(verb, *SCENES, *FOUR_STEPS, "--trainer.logger.name=wrong", f"--ckpt_path={name}") == 1
    assert f"mfn: {name}: {message}" in capsys.readouterr().err


def test_a_missing_gpu_is_one_line(place, capsys):
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    assert train("fit", *SCENES, "--trainer.accelerator=gpu") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("mfn: trainer: No supported gpu backend found! Change --trainer.accelerator")


def test_two_processes(place):
    two = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.logger.name=two"]
    command = [sys.executable, "-m", "mfn", "fit", "--config", str(CONFIGS / "mfn" / "synthetic.yaml"), *SCENES, *FOUR_STEPS, *two]
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not [noise for noise in ("litlogger", "LeafSpec") if noise in done.stdout + done.stderr]
    (folder,) = run_folders(place / "runs" / "two")
    assert any(row["val/box_ap50"] for row in figures(folder))
