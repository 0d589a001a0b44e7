"""Read what a training draws its pictures from: packs of photos, rendered heads, and pictures without faces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.training.packs.reader import Pack, PackLocation, locate_pack, read_pack, read_pictures
from mfn.training.packs.rendered_heads import RenderedHeads, drawn_backgrounds
from retarget.io.images import Image

BACKGROUNDS = "backgrounds.tar"
RENDERED_FOLDER = Path("runs/rendered")
HOW_TO = "docs/guides/training.md says how to make each; without any photo, use --config configs/mfn/synthetic.yaml"


def every_face(pack: Pack) -> NDArray[np.bool_]:
    """Return (M,) True for every face of a pack."""
    return np.ones(len(pack.faces), bool)


class TrainingPictures(NamedTuple):
    """The pictures of a training.

    Attributes:
        packs: Pictures with faces.
        weights: How often each pack is drawn, relative to the others.
        backgrounds: Pictures (H, W, 3) uint8 RGB without faces.
    """

    packs: list[Pack]
    weights: list[float]
    backgrounds: list[Image]

    def part(self, held: bool, usable: Callable[[Pack], NDArray[np.bool_]] = every_face) -> tuple[list[Pack], list[float]]:
        """Return the packs and weights for validation (`held`) or for training.

        Packs that have no face there, or weight 0, are left out. Where validation has no usable face, it gets the part for training.

        Args:
            held: Whether the part is for validation.
            usable: Tells which faces (M,) of a pack can be drawn.

        Raises:
            ValueError: The pictures for training have no usable face.
        """
        parts = [pack.select(pack.held_out() == held) for pack in self.packs]
        pairs = [(part, weight) for part, weight in zip(parts, self.weights, strict=True) if len(part.faces) and weight > 0]
        if not any(usable(part).any() for part, _ in pairs):
            if held:
                return self.part(False, usable)
            names = ", ".join(pack.name for pack in self.packs)
            raise ValueError(f"sources: expected faces to train with in {names}, got none with labels and a size that this training reads")
        packs, weights = zip(*pairs)
        return list(packs), list(weights)


@dataclass(frozen=True)
class PackSources:
    """Where the training faces come from.

    Attributes:
        folder: Data folder, with packs in `faces` and photos without faces in `backgrounds.tar`. Without that file, backgrounds are drawn.
        labels: Folder of the labels of these packs.
        weights: Name of a pack, or path of a pack elsewhere -> how often it is drawn, relative to the others.
        rendered: Rendered heads, which need no photo; None for none.
    """

    folder: Path = Path("data")
    labels: Path = Path("runs/labels")
    weights: dict[str, float] = field(default_factory=dict)
    rendered: RenderedHeads | None = None

    def prepare(self) -> None:
        """Check that all packs are there, and render what has to be rendered. One process of each machine does this before the others.

        Raises:
            FileNotFoundError: Packs are missing. All of them are named.
            ValueError: No source at all, or weights that are not valid.
        """
        if not self.weights and self.rendered is None:
            raise ValueError("sources: expected at least one pack, such as runs/mine/faces of `mfn annotate`, got none")
        weights = self.weights if self.rendered is None else {**self.weights, "rendered": self.rendered.weight}
        if not all(0 <= weight < math.inf for weight in weights.values()) or not any(weights.values()):
            text = ", ".join(f"{name}: {weight}" for name, weight in weights.items())
            raise ValueError(f"sources: expected weights of 0 or more, and one above 0, got {text}")
        check_packs([self._locate(name) for name in self.weights])
        if self.rendered is not None:
            self.rendered.make()
        if not self._photos.is_file():
            drawn_backgrounds(self._rendered_folder)

    def read(self) -> TrainingPictures:
        """Decode all pictures into memory."""
        self.prepare()
        packs = [read_pack(*self._locate(name)) for name in self.weights]
        weights = list(self.weights.values())
        if self.rendered is not None:
            packs, weights = [*packs, self.rendered.read()], [*weights, self.rendered.weight]
        photos = read_pictures(self._photos) if self._photos.is_file() else drawn_backgrounds(self._rendered_folder)
        if not photos:
            raise ValueError(f"{self._photos}: expected photos without faces, got none; remove the file, and backgrounds are drawn")
        return TrainingPictures(packs, weights, photos)

    def fingerprint(self) -> str:
        """Describe what `read` returns: weights, rendered heads, and the size and time of each file. It changes with any of them."""
        places = [self._locate(name) for name in self.weights]
        files = [file for place in places for file in (*_files(place), place.labels / f"{place.name}.npz")]
        stats = [(file.stat().st_size, file.stat().st_mtime_ns) if file.is_file() else None for file in (*files, self._photos)]
        rendered = (self.rendered.name, self.rendered.weight) if self.rendered is not None else None
        return repr((self.weights, rendered, stats))

    @property
    def _photos(self) -> Path:
        return Path(self.folder) / BACKGROUNDS

    @property
    def _rendered_folder(self) -> Path:
        return Path(self.rendered.folder) if self.rendered is not None else RENDERED_FOLDER

    def _locate(self, name: str) -> PackLocation:
        return locate_pack(Path(self.folder), Path(self.labels), name)


def check_packs(places: Sequence[PackLocation]) -> None:
    """Raise FileNotFoundError if files of packs are missing; the message names every such pack."""
    pairs = [_files(place) for place in places]
    missing = [str(next(path for path in pair if not path.is_file())) for pair in pairs if not all(path.is_file() for path in pair)]
    if missing:
        raise FileNotFoundError(f"missing packs: {', '.join(missing)}. Leave them out of the sources or make them: {HOW_TO}")


def _files(place: PackLocation) -> tuple[Path, Path]:
    """Return the tar file and the .npz file of a pack."""
    return place.folder / f"{place.name}.tar", place.folder / f"{place.name}.npz"
