"""The interface of networks whose last layer is linear, so that a training system can attach a second output to the same features."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class CropRegressor(Protocol):
    """A network of one crop that gives access to the features in front of its last layer.

    Attributes:
        features_size: Number of features of a crop.
    """

    features_size: int

    def features(self, picture: Tensor) -> Tensor:
        """Return features (B, features_size) of crops (B, 3, S, S) RGB, 0 to 255."""

    def predict(self, features: Tensor) -> Tensor:
        """Return raw parameters (B, PARAMETER_SIZE) for features (B, features_size)."""
