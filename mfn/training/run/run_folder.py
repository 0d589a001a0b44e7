"""The folder of a run: the configuration that it saves, the checkpoint after Ctrl-C, and what it says at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import SaveConfigCallback

CONFIG = "config.yaml"


def run_folder(trainer: Trainer) -> Path:
    """Return the folder of a run. Its checkpoints lie in `checkpoints`, and each run has a folder of its own, whatever its logger is."""
    if not trainer.loggers:
        return Path(trainer.default_root_dir)
    logger = trainer.loggers[0]
    version = logger.version if isinstance(logger.version, str) else f"version_{logger.version}"
    return Path(logger.save_dir or trainer.default_root_dir) / str(logger.name) / version


class RunConfig(SaveConfigCallback):
    """Save the configuration of a training into the folder of its run and in its loggers, and say at the end what to do next.

    Ctrl-C is such an end, too: the last checkpoint is then of that moment.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options | {"save_to_log_dir": False})
        self._has_trained = False
        self._path = Path(CONFIG)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write config.yaml, and give its values to the loggers, such as W&B. With `fast_dev_run`, write nothing."""
        if stage != "fit" or trainer.fast_dev_run:
            return
        folder = run_folder(trainer)
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / CONFIG if trainer.loggers else new_path(folder / CONFIG)
        self.parser.save(self.config, self._path, skip_none=False, overwrite=True, multifile=False)
        values = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        for logger in trainer.loggers:
            logger.log_hyperparams(flat(values))

    def on_train_batch_end(self, *_: Any) -> None:
        """Remember that there is something to keep."""
        self._has_trained = True

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print where the checkpoint is, and the command that exports it."""
        self._say(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """After Ctrl-C, write the last checkpoint and print what to do next.

        Several processes keep that of the last epoch, because each stops at another place.
        """
        if isinstance(exception, KeyboardInterrupt) and self._has_trained:
            if trainer.world_size == 1 and isinstance(trainer.checkpoint_callback, ModelCheckpoint):
                save_last(trainer, trainer.checkpoint_callback)
            self._say(trainer)

    def _say(self, trainer: Trainer) -> None:
        kept = trainer.checkpoint_callback
        if trainer.is_global_zero and isinstance(kept, ModelCheckpoint) and kept.last_model_path:
            command = f"mfn export --config {self._path} --checkpoint {kept.last_model_path} --out own.onnx"
            print(f"wrote {kept.last_model_path}; next: {command}")


def new_path(path: Path) -> Path:
    """Return the path, or, where it exists, the first of NAME-v1, NAME-v2 and so on that does not.

    Without a logger all runs share a folder, in which files of the user may lie.
    """
    number, free = 0, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-v{number}")
    return free


def save_last(trainer: Trainer, kept: ModelCheckpoint) -> None:
    """Write the last checkpoint of a training that stops inside an epoch. A training that goes on from it draws the same batches.

    Args:
        trainer: The trainer.
        kept: Writes its checkpoints.
    """
    progress = trainer.fit_loop.epoch_loop.batch_progress
    for counts in (progress.total, progress.current):  # the batch that was stopped is drawn again
        counts.ready = counts.started = counts.processed = counts.completed
    if trainer.validating:
        restart_validation(trainer)
    path = Path(kept.last_model_path or Path(kept.dirpath or ".") / f"last{kept.FILE_EXTENSION}")
    if not kept.last_model_path and path.exists():  # of another run in the same folder
        path = path.with_stem(f"last-step{trainer.global_step}")
    kept.last_model_path = str(path)  # in the checkpoint, too: the next one replaces it
    trainer.save_checkpoint(path)


def restart_validation(trainer: Trainer) -> None:
    """Let a training that was stopped inside a validation do the whole validation again.

    Lightning goes on with a validation whose counts say that a batch was started and not finished, from the batch after the last
    finished one: its figures would be those of the rest. So the counts are those of the first batch.
    """
    progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
    for counts in (progress.total, progress.current):
        counts.ready = counts.started = 1
        counts.processed = counts.completed = 0


def flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings with names such as model.init_args.schedule.learning_rate."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value if isinstance(value, (int, float, bool, str)) else str(value)
    return found
