"""Render the moving picture of the README: our own synthetic people, and the characters that the network drives from them.

    python -m experiments.inspect.readme_gif --out docs/images

Writes demo.gif, which repeats without a jump, and demo.png, its first frame at full size. The people are rendered from
known faces, but the characters see only the rendered images: every frame goes through the network, the tracker and the
smoothing of `mfn animate`.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from mfn.animation.bridge import faces_to_take
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.captions import stack_with_captions
from mfn.synthesis.group_photo import GroupPhoto, make_group_photo
from mfn.video.one_euro import smooth_faces
from mfn.video.tracking.clip_tracker import track_clip
from retarget.geometry.rotations import rotation_about
from retarget.geometry.weak_perspective import default_focal_px
from retarget.io.files import atomic_write, make_folder
from retarget.io.images import Image, write_image
from retarget.render.scene import render_scene
from retarget.rig.avatars import AVATAR_NAMES, find_avatar
from retarget.rig.load import load_rigs

CAPTIONS = ("people: a video", "characters: every face at once")
SIZE = (640, 300)  # width, height of one of the two images, px
FPS = 12
MAX_BYTES = 2_500_000
_TURN_RAD, _NOD_RAD, _SWAY_M = 0.28, 0.10, 0.012
_COLORS = (256, 192, 128, 96, 64)  # sizes of the palette that are tried until the file is small enough


def moving_faces(rest: Faces, frames: int, seed: int) -> list[Faces]:
    """Move every person: turns, nods, and changes between the expressions of the group. The motion repeats.

    Args:
        rest: N people.
        frames: Number of frames of one repetition.
        seed: Seed of the phases.

    Returns:
        N faces for each frame.
    """
    rng = np.random.default_rng(seed)
    count = len(rest)
    phase = rng.uniform(0, 2 * np.pi, (3, count))
    other = rest.expression[np.roll(np.arange(count), 1 + count // 3)]
    result = []
    for frame in range(frames):
        angle = 2 * np.pi * frame / frames
        yaw = _TURN_RAD * np.sin(angle + phase[0])
        pitch = _NOD_RAD * np.sin(2 * angle + phase[1])
        turn = rotation_about("y", yaw) @ rotation_about("x", pitch)
        share = _ease(0.5 + 0.5 * np.sin(angle + phase[2]))[:, None]
        expression = (1 - share) * rest.expression + share * other
        sway = _SWAY_M * np.stack([np.sin(angle + phase[0]), 0.5 * np.cos(2 * angle + phase[1])], 1) * rest.scale[:, None]
        result.append(rest.replace(rotation=turn @ rest.rotation, expression=expression, center=rest.center + sway))
    return result


def _ease(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map 0 to 1 smoothly, with a rest at both ends."""
    return np.clip(value * value * (3 - 2 * value) * 1.2 - 0.1, 0, 1)


def render_frames(group: GroupPhoto, frames: int, seed: int, predictor: Predictor) -> list[Image]:
    """Render the people, read their faces from the images, and render the characters.

    Returns:
        One image (H, W, 3) uint8 RGB for each frame: people above, characters below.
    """
    images = [group.render(faces) for faces in moving_faces(group.faces, frames, seed)]
    time_s = np.arange(2 * frames) / FPS
    # Two rounds: the second one starts with a smoothing filter that already moves, so the repetition has no jump.
    found = [predictor(image, video=True) for image in images] * 2
    together = Faces.concatenate([faces.replace(image=np.full(len(faces), k)) for k, faces in enumerate(found)])
    tracked = smooth_faces(track_clip(together, time_s), time_s)
    focal_px = default_focal_px(*group.size)
    take = faces_to_take(tracked, group.size, focal_px, time_s)
    rigs = load_rigs([find_avatar(name) for name in AVATAR_NAMES])
    rig_of = {int(actor): rigs[k % len(rigs)] for k, actor in enumerate(take.actors())}
    pages = []
    for number, image in enumerate(images, frames):
        present = take[tracked.image == number]
        chosen = [rig_of[int(actor)] for actor in np.unique(present.actor)] or rigs
        characters = render_scene(present, chosen, *group.size, focal_px, image)
        pages.append(stack_with_captions([(image, CAPTIONS[0]), (characters, CAPTIONS[1])]))
    return pages


def encode_gif(pages: list[Image]) -> bytes:
    """Encode an endless GIF with one palette, as large as `MAX_BYTES` permits.

    Raises:
        ValueError: The GIF is too large even with the smallest palette.
    """
    for colors in _COLORS:
        sample = PIL.Image.fromarray(np.concatenate(pages[:: max(1, len(pages) // 4)]))
        palette = sample.quantize(colors, PIL.Image.Quantize.MEDIANCUT, kmeans=3)
        frames = [PIL.Image.fromarray(page).quantize(palette=palette, dither=PIL.Image.Dither.NONE) for page in pages]
        file = io.BytesIO()
        frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=round(1000 / FPS), loop=0, optimize=True)
        if file.tell() <= MAX_BYTES:
            return file.getvalue()
    raise ValueError(f"the GIF has {file.tell()} bytes (expected at most {MAX_BYTES}); choose fewer --frames")


def main() -> None:
    """Write demo.gif and demo.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder to write into (default: %(default)s)")
    parser.add_argument("--people", type=int, default=7, help="number of people (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=36, help="frames of one repetition (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="each number makes another group (default: %(default)s)")
    args = parser.parse_args()
    out, model, predictor = make_folder(args.out), HeadModel.load(), Predictor.load()
    pages = render_frames(make_group_photo(model, args.people, SIZE, args.seed), args.frames, args.seed, predictor)
    atomic_write(out / "demo.gif", encode_gif(pages))
    write_image(out / "demo.png", pages[0])
    print(f"wrote {out / 'demo.gif'} ({(out / 'demo.gif').stat().st_size / 1e6:.1f} MB) and {out / 'demo.png'}")


if __name__ == "__main__":
    main()
