"""The networks that all users of the page share."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from mfn.cli.options import load_predictor
from mfn.inference.model_zoo import LIVE_MODEL, MODELS, find_model
from mfn.inference.predictor import Predictor


class Models:
    """Predictors by the name of their network, loaded when they are first used."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Keep the options of `mfn.cli.options.add_network`; --weights is the network that is chosen first."""
        self._options = options
        self._loaded: dict[str, Predictor] = {}
        self._lock = threading.Lock()

    @property
    def default(self) -> str:
        """The network that is chosen first. A file is called by its name without the folder."""
        return Path(self._options.weights).name

    @property
    def live(self) -> str:
        """The network of the tab Live: `LIVE_MODEL`, but with --weights free or a file of the user that one."""
        ours = self.default in MODELS and not self.free
        return LIVE_MODEL if ours else self.default

    @property
    def free(self) -> bool:
        """Whether --weights asks for networks that a company may use. Then no other network is loaded."""
        return find_model(self._options.weights).free

    def names(self) -> list[str]:
        """Return the networks that can be chosen: that of --weights, and those that ship. With --weights free, that one only."""
        return [self.default] if self.free else list(dict.fromkeys([self.default, *MODELS]))

    def get(self, name: str) -> Predictor:
        """Return the predictor of a name.

        Raises:
            ValueError: It is not one of `names`.
        """
        if name not in self.names():
            raise ValueError(f"{name}: expected one of the networks {', '.join(self.names())}")
        with self._lock:
            if name not in self._loaded:
                weights = self._options.weights if name == self.default else name
                self._loaded[name] = load_predictor(argparse.Namespace(**{**vars(self._options), "weights": weights}))
            return self._loaded[name]
