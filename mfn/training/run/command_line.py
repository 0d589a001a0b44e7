"""The entry point of training: Lightning's command line."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from mfn.training.checkpoints import check_checkpoint
from mfn.training.run.run_folder import RunConfig

NAMED_CHECKPOINTS = ("best", "last", "hpc")  # which Lightning finds by itself


def main(args: Sequence[str]) -> None:
    """Run Lightning's command line over the training system and the data module that a configuration names.

    Args:
        args: Subcommand and options, such as `fit --config configs/mfn/default.yaml`.

    Raises:
        KeyboardInterrupt: Ctrl-C. Lightning ends a training and then the program with the exit code of an error.
        ValueError: An option of the trainer is not valid on this machine, or the checkpoint is not one of this network.
    """
    _drop_noise()
    # Weights and moments that decay towards zero become denormal numbers, with which a CPU computes a hundred times slower.
    torch.set_flush_denormal(True)
    try:
        _CommandLine(args=list(args), save_config_callback=RunConfig)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise stop.__context__ from None
        raise
    except MisconfigurationException as error:
        raise ValueError(f"trainer: {error} Change --trainer.accelerator, or the option that is named.") from error


class _CommandLine(LightningCLI):
    """Lightning's command line, on which the options of the user count also where a training goes on."""

    def _parse_ckpt_path(self) -> None:
        """Leave the options as they are.

        Lightning 2.6 replaces them by those in the checkpoint without a word: a training with more `steps` then ended after the old number.
        """

    def _check_checkpoint(self) -> None:
        """Check the checkpoint of `--ckpt_path` before the data are read.

        Folders, URLs and names of Lightning are not checked, and no file with `--weights_only false`: it may hold any Python object.
        """
        path, weights_only = str(self._get(self.config_init, "ckpt_path") or ""), self._get(self.config_init, "weights_only")
        if not path or path in NAMED_CHECKPOINTS or weights_only is False:
            return
        if not (path.startswith("registry") or "://" in path or Path(path).is_dir()):
            check_checkpoint(Path(path), self.model)

    before_fit = before_validate = before_test = _check_checkpoint


def _drop_noise() -> None:
    """Drop lines of Lightning that are of no use: an advertisement, a warning about its own code, and doubts about where the data go on.

    `mfn.training.data.workers` goes on inside an epoch, too.
    """
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda record: "litlogger" not in record.getMessage())
    warnings.filterwarnings("ignore", message=".*LeafSpec")
    warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch ended")
