"""Heads that our own code renders for training: made once by all cores, kept in a folder, and read as any other pack."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model
from mfn.synthesis.backgrounds import random_background
from mfn.synthesis.heads import HeadGenerator
from mfn.training.packs.reader import Pack, read_pack, read_pictures
from mfn.training.packs.writer import write_pack, write_pictures
from retarget.io.images import Image, encode_jpeg
from retarget.io.progress import Progress

CHUNK = 8  # heads that one process renders at once: one person
BACKGROUNDS = 96  # drawn for a run that has no photos without faces
BACKGROUND_PX = 288
BEHIND_HEADS = 24  # backgrounds that heads are rendered before; scenes show little of them
BEHIND_PX = 160
SAMPLES = 1.25  # rendered px for each px of a side
JPEG_QUALITY = 92
VERSION = 1  # raise it when the renderer changes, so that heads are rendered again

Head = tuple[bytes, Faces]


@dataclass(frozen=True)
class RenderedHeads:
    """A pack of rendered heads with exact labels.

    Attributes:
        count: Number of heads. Two cores render 20 to 40 a second.
        weight: How often this pack is drawn, relative to the other sources.
        size_px: Side of a picture; its face is half as tall.
        folder: Where the heads are kept for the next run.
        seed: Seed of people, expressions, poses and light.
        processes: Processes that render; 0 for one for each core.
    """

    count: int = 1200
    weight: float = 1.0
    size_px: int = 144
    folder: Path = Path("runs/rendered")
    seed: int = 0
    processes: int = 0

    @property
    def name(self) -> str:
        """Return the name of the pack, which changes with everything that the pictures depend on."""
        model = default_head_model()
        digest = hashlib.sha256(repr((VERSION, self.count, self.size_px, self.seed)).encode())
        for part in (model.mean, model.identity_basis, model.expression_basis):
            digest.update(np.ascontiguousarray(part).tobytes())
        return f"heads-{digest.hexdigest()[:12]}"

    def make(self) -> None:
        """Render the heads, unless the folder has them."""
        if self.count < 1 or self.size_px < 32:
            raise ValueError(f"rendered: expected a count of 1 or more and a size_px of 32 or more, got {self.count} and {self.size_px}")
        folder = Path(self.folder)
        if (folder / "labels" / f"{self.name}.npz").is_file():  # the file that is written last
            return
        heads = run_in_processes(self._render_chunk, range(0, self.count, CHUNK), self.processes, f"heads into {folder}")
        coded, faces = zip(*(head for chunk in heads for head in chunk))
        numbered = Faces.concatenate(list(faces)).replace(image=np.arange(len(faces), dtype=np.int32))
        write_pack(folder, self.name, coded, numbered)

    def read(self) -> Pack:
        """Read the heads, and render them first where that is needed."""
        self.make()
        folder = Path(self.folder)
        return read_pack(folder, folder / "labels", self.name)

    def _render_chunk(self, first: int) -> list[Head]:
        """Render one person in different poses, expressions and light."""
        rng = np.random.default_rng([self.seed, first])
        generator = _generator()
        generator.new_person()
        heads = []
        for _ in range(first, min(first + CHUNK, self.count)):
            picture, face = generator.generate(rng, self.size_px, SAMPLES)
            heads.append((encode_jpeg(picture, JPEG_QUALITY), face.replace(track=np.array([first // CHUNK], np.int32))))
        return heads


def drawn_backgrounds(folder: Path) -> list[Image]:
    """Return drawn pictures without faces. They are kept in a folder for the next run."""
    path = Path(folder) / f"backgrounds-{VERSION}.tar"
    if not path.is_file():
        what = f"backgrounds, because there are no photos without faces, into {folder}"
        coded = run_in_processes(_draw_background, range(BACKGROUNDS), 0, what)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_pictures(path, coded)
    return read_pictures(path)


def _draw_background(number: int) -> bytes:
    return encode_jpeg(random_background(BACKGROUND_PX, BACKGROUND_PX, np.random.default_rng(number)), JPEG_QUALITY)


_shared: dict[str, HeadGenerator] = {}  # made before the processes fork, so that they share it


def _generator() -> HeadGenerator:
    """Return this process's generator of heads."""
    if not _shared:
        rng = np.random.default_rng(0)
        behind = [random_background(BEHIND_PX, BEHIND_PX, rng) for _ in range(BEHIND_HEADS)]
        _shared["heads"] = HeadGenerator(default_head_model(), behind, images_per_person=CHUNK)
    return _shared["heads"]


def run_in_processes(work: Callable[[int], Any], numbers: Sequence[int], processes: int, what: str) -> list[Any]:
    """Call a function for each number, in processes of one thread, with a progress bar.

    Args:
        work: The function.
        numbers: Its arguments.
        processes: Number of processes; 0 for one for each core.
        what: Text of the progress bar.

    Returns:
        The results in the order of the numbers.
    """
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    if can_fork:
        _generator()
    results = []
    context = multiprocessing.get_context("fork" if can_fork else "spawn")
    # Not multiprocessing.Pool: its end may wait forever for a worker that it starts anew at that moment.
    pool = ProcessPoolExecutor(min(processes or cores(), len(numbers)), context, _limit_threads)
    with Progress() as progress, pool:
        progress.note(f"rendering {what}; later runs read them from there")
        show = progress.bar("parts")
        for result in pool.map(work, numbers):
            results.append(result)
            show(len(results), len(numbers))
    return results


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _limit_threads() -> None:
    import cv2

    cv2.setNumThreads(0)
