"""How many photos without faces get a false one, by the score asked for.

    python -m experiments.accuracy.false_faces --backgrounds DATA/backgrounds.tar

Every fifth of the pack's photos; most of them were also behind the faces of training scenes. Prints, writes results/false_faces.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from mfn.inference.model_zoo import MODELS
from mfn.inference.predictor import Predictor
from mfn.training.data.packs import read_pictures

RESULT = Path(__file__).parents[1] / "results" / "accuracy" / "false_faces.json"
SCORES = (0.4, 0.5, 0.55, 0.6, 0.65)
EVERY = 5


def main() -> None:
    """Looks, counts, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backgrounds", type=Path, required=True, help="tar of photos without faces")
    args = parser.parse_args()
    photos, report = read_pictures(args.backgrounds, EVERY), {}
    for name, model in MODELS.items():
        predictor = Predictor.load(name, score=min(SCORES), threads=1)
        best = [float(predictor(photo).score.max(initial=0)) for photo in photos]
        counts = {str(score): sum(b >= score for b in best) for score in SCORES}
        digest = hashlib.sha256(model.path.read_bytes()).hexdigest()
        report[name] = {"weights_sha256": digest, "photos": len(photos), "with a false face, by score": counts}
        print(name, report[name])
    RESULT.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
