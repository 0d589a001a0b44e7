"""The interface of networks that give access to their features: a training system attaches a second output to them, or keeps them."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

FEATURES_NDIM = 2  # axes of features; crops have four


@runtime_checkable
class CropRegressor(Protocol):
    """A network of one crop that gives access to the features in front of its last layers.

    Attributes:
        features_size: Number of features of a crop.
    """

    features_size: int

    def features(self, picture: Tensor) -> Tensor:
        """Return features (B, features_size) of crops (B, 3, S, S) RGB, 0 to 255."""

    def predict(self, features: Tensor) -> Tensor:
        """Return what the network predicts for crops, such as raw parameters (B, PARAMETER_SIZE), for features (B, features_size)."""


def predict(network: Any, picture: Tensor) -> Tensor:
    """Run a network of one crop in float32.

    Args:
        network: The network.
        picture: Crops (B, 3, S, S) RGB, 0 to 255, or the features (B, features_size) of a `CropRegressor`, computed before.

    Returns:
        What the network returns, as float32.
    """
    read = network.predict if picture.ndim == FEATURES_NDIM else network
    picture = picture.float() if picture.ndim == FEATURES_NDIM else picture.float().to(memory_format=torch.channels_last)
    output: Tensor = read(picture).float()
    return output
