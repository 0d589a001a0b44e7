"""Draw people and the characters that look like them, at likeness 0, 0.5 and 1. For a check by eye.

    python -m experiments.inspect.likeness_sheet sheet.png photo.jpg another.jpg --avatar robot --avatar person

Of each photo the largest face is shown, then each character three times.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.common import make_parser
from experiments.inspect.clip_strip import SIDE_PX, crop_face
from mfn.animation.bridge import faces_to_take
from mfn.animation.people.looks import people_of_image, personal_rigs
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from retarget import Rig, load_rig, render_scene
from retarget.geometry.weak_perspective import default_focal_px
from retarget.io.images import Image, read_image, write_image
from retarget.rig.avatars import AVATAR_NAMES, find_avatar

AMOUNTS = (0.0, 0.5, 1.0)
MARGIN = 0.35  # of the photo's sides, so that a tall character fits


def draw_row(photo: Image, faces: Faces, rigs: Sequence[Rig]) -> Image:
    """Draw the largest face of a photo, and the characters at each amount of likeness.

    Raises:
        ValueError: There is no face.
    """
    if not len(faces):
        raise ValueError("expected a photo with a face, found none")
    height, width = photo.shape[:2]
    rows, columns = int(MARGIN * height), int(MARGIN * width)
    photo = np.pad(photo, ((rows, rows), (columns, columns), (0, 0)), mode="edge")
    face = faces[[int((faces.box[:, 3] - faces.box[:, 1]).argmax())]]
    face = face.replace(box=face.box + np.float32([columns, rows] * 2), center=face.center + np.float32([columns, rows]))
    height, width = photo.shape[:2]
    take, focal_px, people = faces_to_take(face, (width, height)), default_focal_px(width, height), people_of_image(photo, face)
    tiles = [crop_face(photo, face)]
    for rig in rigs:
        for amount in AMOUNTS:
            own = personal_rigs([rig], people, amount).rigs if amount else [rig]
            tiles.append(crop_face(render_scene(take, own, width, height, focal_px, whole_body=True), face))
    return np.concatenate(tiles, axis=1)


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("out", type=Path, help="the picture")
    parser.add_argument("photo", type=Path, nargs="+", help="photos")
    parser.add_argument("--avatar", action="append", choices=AVATAR_NAMES, help="one of our characters (default: robot and person)")
    args = parser.parse_args()
    rigs = [load_rig(find_avatar(name)) for name in args.avatar or ("robot", "person")]
    predictor = Predictor.load()
    photos = [read_image(path) for path in args.photo]
    sheet = np.concatenate([draw_row(photo, predictor(photo), rigs) for photo in photos])
    write_image(args.out, sheet)
    print(f"{args.out}: {len(photos)} people, tiles of {SIDE_PX} px")


if __name__ == "__main__":
    main()
