"""Training of the single-face networks through Lightning: `mfn fit --config configs/sfn/default.yaml` and its siblings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from mfn.training.data.crops import Truth
from mfn.training.multi_face import one_cycle, read_state
from mfn.training.single_face_losses import TddfaCost


class OneFace(LightningModule):
    """Trains any network of one face by a cost of `mfn.training.single_face_losses`.

    Args:
        network: crops (B, 3, S, S) -> what the cost reads.
        cost: (network's output, truth) -> weighted terms.
        learning_rate: at its highest, of AdamW.
        weight_decay: of AdamW, on matrices and convolutions only.
        steps: length of the schedule (one cycle of warm-up and cosine).
        warmup: steps of warm-up.
        landmark_regression: weight of 3DDFA_V2's regulariser, a linear branch from the features to the 68 points (a network with
            `features` only); it is trained and thrown away.
        weights: what to start from, safetensors or a checkpoint, of any network: what has the same name and shape is taken.
    """

    def __init__(  # noqa: PLR0913  # each is a knob of the YAML
        self,
        network: nn.Module,
        cost: nn.Module,
        learning_rate: float = 1.5e-3,
        weight_decay: float = 0.02,
        steps: int = 5000,
        warmup: int = 200,
        landmark_regression: float = 0.0,
        weights: Path | None = None,
    ) -> None:
        super().__init__()
        if weights is not None:
            take_weights(network, read_state(Path(weights)))
        self.network: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.cost = cost
        self.learning_rate, self.weight_decay, self.steps, self.warmup = learning_rate, weight_decay, steps, warmup
        self.landmark_regression = landmark_regression
        if landmark_regression:
            if not hasattr(network, "features"):
                raise ValueError(f"landmark_regression: {type(network).__name__} has no `features` to read landmarks from")
            self.landmarks = nn.Linear(int(network.features_size), 68 * 2)  # type: ignore[arg-type]
            self.points = TddfaCost("vdc")

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, S, S) RGB 0..255 -> the network's output, float32"""
        return self.network(picture.to(memory_format=torch.channels_last)).float()

    def _step(self, batch: tuple[Tensor, Truth], stage: str) -> Tensor:
        picture, true = batch
        picture = picture.float()
        if self.landmark_regression and stage == "train":
            features = self.network.features(picture.to(memory_format=torch.channels_last))  # type: ignore[operator]
            raw, regressed = self.network.out(features).float(), self.landmarks(features).float()  # type: ignore[operator]
        else:
            raw, regressed = self(picture), None
        with torch.autocast(raw.device.type, enabled=False):  # landmarks in bfloat16 would be a px off
            terms = self.cost(raw, true)
            if regressed is not None:
                terms = terms | {"landmark_regression": self.landmark_regression * self._regression(regressed, true)}
        total = torch.stack(list(terms.values())).sum()
        self.log(f"{stage}/loss", total, prog_bar=True, batch_size=len(picture))
        self.log_dict({f"{stage}/{name}": value for name, value in terms.items()}, batch_size=len(picture))
        return total

    def _regression(self, regressed: Tensor, true: Truth) -> Tensor:
        """Mean distance of the regressed 68 points (B, 136), crop sides around the middle, to the true ones."""
        gap = regressed.unflatten(1, (68, 2)) + 0.5 - self.points.points(true)[:, :68]
        return gap.norm(dim=2).mean()

    def training_step(self, batch: tuple[Tensor, Truth], _: int) -> Tensor:
        """One batch."""
        return self._step(batch, "train")

    def on_train_batch_end(self, *_: Any) -> None:
        """The schedule's end is the training's."""
        self.trainer.should_stop = self.global_step >= self.steps

    def validation_step(self, batch: tuple[Tensor, Truth], _: int) -> None:
        """One batch of fixed crops."""
        self._step(batch, "val")

    def test_step(self, batch: tuple[Tensor, Truth], _: int) -> None:
        """One batch of fixed crops."""
        self._step(batch, "test")

    def configure_optimizers(self) -> dict[str, Any]:
        """See `mfn.training.multi_face.one_cycle`."""
        return one_cycle(self, self.learning_rate, self.weight_decay, self.steps, self.warmup)


class MetaJoint(LightningModule):
    """3DDFA_V2's meta-joint optimisation (Guo et al., ECCV 2020, Algorithm 1).

    Two copies of the network look ahead for `look_ahead` batches, one by fWPDC, one by VDC; on the next batch, the meta-test, the copy
    with the smaller VDC wins, and both go on from it. A step costs as much as two.

    Args:
        network: crops (B, 3, S, S) -> parameters.
        learning_rate: at its highest, of AdamW.
        steps: length of the schedule, in batches.
        warmup: batches of warm-up.
        look_ahead: batches between two choices.
        weights: what to start from, safetensors or a checkpoint, of any network: what has the same name and shape is taken.
    """

    def __init__(
        self,
        network: nn.Module,
        learning_rate: float = 1.5e-3,
        steps: int = 5000,
        warmup: int = 200,
        look_ahead: int = 20,
        weights: Path | None = None,
    ) -> None:
        super().__init__()
        from copy import deepcopy

        self.automatic_optimization = False
        if weights is not None:
            take_weights(network, read_state(Path(weights)))
        self.network: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.other = deepcopy(self.network)
        self.fwpdc, self.vdc = TddfaCost("fwpdc"), TddfaCost("vdc")
        self.learning_rate, self.steps, self.warmup, self.look_ahead = learning_rate, steps, warmup, look_ahead
        self.wins = {"fwpdc": 0, "vdc": 0}

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, S, S) RGB 0..255 -> (B, PARAMETER_SIZE) float32"""
        return self.network(picture.to(memory_format=torch.channels_last)).float()

    def _cost(self, network: nn.Module, cost: TddfaCost, batch: tuple[Tensor, Truth]) -> Tensor:
        picture, true = batch
        raw = network(picture.float().to(memory_format=torch.channels_last)).float()
        with torch.autocast(raw.device.type, enabled=False):
            return torch.stack(list(cost(raw, true).values())).sum()

    def training_step(self, batch: tuple[Tensor, Truth], number: int) -> None:
        """A look-ahead step of both, or, after `look_ahead` of them, the choice."""
        first, second = self.optimizers()  # type: ignore[misc]
        if number % (self.look_ahead + 1) == self.look_ahead:
            self._choose(batch, first.optimizer, second.optimizer)
            return
        for network, cost, optimizer in ((self.network, self.fwpdc, first), (self.other, self.vdc, second)):
            value = self._cost(network, cost, batch)
            optimizer.zero_grad()
            self.manual_backward(value)
            nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimizer.step()
            self.log(f"train/{cost.kind}", value.detach(), prog_bar=True, batch_size=len(batch[0]))
        for schedule in self.lr_schedulers():  # type: ignore[union-attr]
            schedule.step()

    @torch.no_grad()
    def _choose(self, batch: tuple[Tensor, Truth], first: torch.optim.Optimizer, second: torch.optim.Optimizer) -> None:
        one, two = self._cost(self.network, self.vdc, batch), self._cost(self.other, self.vdc, batch)
        if two < one:
            self.network.load_state_dict(self.other.state_dict())
            first.load_state_dict(second.state_dict())
        else:
            self.other.load_state_dict(self.network.state_dict())
            second.load_state_dict(first.state_dict())
        self.wins["vdc" if two < one else "fwpdc"] += 1
        self.log("train/vdc_wins", self.wins["vdc"] / sum(self.wins.values()), batch_size=len(batch[0]))

    def on_train_batch_end(self, *_: Any) -> None:
        """The schedule's end is the training's: each of the two copies makes `steps` steps."""
        self.trainer.should_stop = self.global_step >= 2 * self.steps

    def validation_step(self, batch: tuple[Tensor, Truth], _: int) -> None:
        """One batch of fixed crops."""
        self.log("val/loss", self._cost(self.network, self.vdc, batch), prog_bar=True, batch_size=len(batch[0]))

    def configure_optimizers(self) -> Any:
        """One AdamW and one cycle for each copy."""
        both = [one_cycle(n, self.learning_rate, 0.02, self.steps, self.warmup) for n in (self.network, self.other)]
        return [b["optimizer"] for b in both], [b["lr_scheduler"] for b in both]


def take_weights(network: nn.Module, state: dict[str, Tensor]) -> int:
    """Copies what has the same name and shape into the network; the number of tensors. Nothing at all in common is an error."""
    own = network.state_dict()
    shared = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if not shared:
        raise ValueError(f"weights: no tensor of them has the name and shape of one of {type(network).__name__}'s {len(own)}")
    network.load_state_dict(own | shared)
    return len(shared)

