"""Keep the weights of a training as a small state in experiments/weights.

    python -m experiments.weights.keep_state runs/single/version_0/checkpoints/last.ckpt experiments/weights/tddfa/tddfa.safetensors \\
        --base experiments/weights/tddfa/sfn.safetensors

Weights are written in float16. With --base, tensors that this state of the same folder has too are left out: a network whose first layers
are those of SFN then takes a few hundred kilobytes. `mfn fit --model.weights` and `mfn export --checkpoint` read such files.
"""

from __future__ import annotations

from pathlib import Path

from experiments.common import make_parser
from mfn.training.checkpoints import read_state, write_state


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of Lightning, or a .safetensors file")
    parser.add_argument("state", type=Path, help="file to write, .safetensors")
    parser.add_argument("--base", type=Path, help="a state in the same folder, whose tensors are left out")
    args = parser.parse_args()
    if args.base and args.base.resolve().parent != args.state.resolve().parent:
        parser.error(f"--base: expected a file in {args.state.parent}, got {args.base}")
    count = write_state(args.state, read_state(args.checkpoint), args.base)
    print(f"{args.state}: {count} tensors, {args.state.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
