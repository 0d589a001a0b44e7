"""The plain loop that `throughput` compares with: find the faces of all pictures of a folder, with one thread, and nothing else.

    python -m experiments.speed.batch.loop PHOTOS
"""

from __future__ import annotations

import mfn
from experiments.common import make_parser
from mfn.batch.sources import list_pictures


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("photos", help="folder of pictures")
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    predictor = mfn.Predictor.load(threads=1)
    for picture in list_pictures([args.photos]).pictures:
        predictor(mfn.read_image(picture.path))


if __name__ == "__main__":
    main()
