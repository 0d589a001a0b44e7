"""Average the weights of two states of one network.

    python -m experiments.weights.mean_state BEFORE.safetensors RUN/checkpoints/last.ckpt --share 0.65 --out mean.safetensors

A training that teaches something new may forget a little. The mean of the weights before and after it often keeps both. Which share is best
is to be chosen on photos that were left out of training. `mfn fit --model.weights` and `mfn export --checkpoint` read the file; its weights
are in float16.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from experiments.common import make_parser
from mfn.training.checkpoints import read_state, write_state


def mean_state(first: dict[str, Tensor], second: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return the weighted mean of two states.

    Args:
        first: Name -> tensor.
        second: The same names and shapes.
        share: Of the first state, 0 to 1. Tensors that are not floating-point numbers, such as counters, are those of the second one.

    Returns:
        Name -> tensor.

    Raises:
        ValueError: The states are not of one network.
    """
    for name in [*first, *second]:
        shapes = [tuple(state[name].shape) if name in state else "no such tensor" for state in (first, second)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"expected two states of one network; {name} differs: {shapes[0]} and {shapes[1]}")
    return {name: share * first[name] + (1 - share) * value if value.is_floating_point() else value for name, value in second.items()}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("first", type=Path, help="a checkpoint of Lightning, or a .safetensors file")
    parser.add_argument("second", type=Path, help="another one of the same network")
    parser.add_argument("--share", type=float, default=0.5, help="of the first one, 0 to 1 (default: 0.5)")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .safetensors")
    args = parser.parse_args()
    if not 0 <= args.share <= 1:
        parser.error(f"--share: expected a number from 0 to 1, got {args.share:g}")
    try:
        state = mean_state(read_state(args.first), read_state(args.second), args.share)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    count = write_state(args.out, state)
    print(f"{args.out}: {count} tensors, {args.share:g} of {args.first} and {1 - args.share:g} of {args.second}")


if __name__ == "__main__":
    main()
