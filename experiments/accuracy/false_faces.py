"""Count the photos without faces in which a network finds one, for several minimum scores.

    python -m experiments.accuracy.false_faces --backgrounds ../shared/data/backgrounds.tar

Every fifth photo of the tar is used. Most of these photos also lay behind the faces of training scenes.
The script writes experiments/results/accuracy/false_faces.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.common import RESULTS, Figures, add_networks_argument, make_parser, save_report, split_named
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.training.packs.reader import read_pictures
from retarget.io.images import Image

RESULT = RESULTS / "accuracy" / "false_faces.json"
SCORES = (0.4, 0.5, 0.55, 0.6, 0.65)
EVERY = 5


def count_false_faces(predictor: Predictor, photos: Sequence[Image]) -> Figures:
    """Count the photos with a face at each minimum score of SCORES. The predictor must keep faces from the lowest one on."""
    best = [float(predictor(photo).score.max(initial=0)) for photo in photos]
    counts = {str(score): sum(b >= score for b in best) for score in SCORES}
    return {"photos": len(photos), "with a false face, by score": counts}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--backgrounds", type=Path, required=True, help="tar of photos without faces")
    add_networks_argument(parser)
    args = parser.parse_args()
    photos, networks = read_pictures(args.backgrounds, EVERY), split_named(args.networks)
    figures = {name: count_false_faces(Predictor.load(path, score=min(SCORES), threads=1), photos) for name, path in networks.items()}
    print(figures)
    save_report(args, __file__, {"networks": figures}, {name: find_model(path).path for name, path in networks.items()})


if __name__ == "__main__":
    main()
