"""`mfn fit`, `mfn validate` and `mfn test`: training through Lightning's command line."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec

from mfn.cli.main import PROGRAM
from retarget.io.command_line import EXIT_DONE

_DESCRIPTIONS = {
    "fit": "Train a network.",
    "validate": "Measure a network on the validation data.",
    "test": "Measure a network on the test data.",
}
_EPILOG = (
    "Every value of a configuration file is an option too, such as --trainer.max_steps 100 or --data.folder DATA. "
    'mfn %s --help lists them all once the train extra is installed: pip install ".[train]"'
)


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run the training command `verb` and return the exit code."""
    missing = missing_packages()
    if missing:
        parser = PROGRAM.parser(verb, _DESCRIPTIONS[verb], _EPILOG % verb)
        parser.add_argument("--config", action="append", metavar="FILE.yaml", help="configuration; later files override earlier ones")
        parser.add_argument("--ckpt_path", metavar="FILE.ckpt", help="checkpoint to continue from, or to measure")
        parser.parse_known_args(arguments)
        require_training()
    if "--version" in arguments:
        PROGRAM.parser(verb, "").parse_args(["--version"])
    from mfn.training.run.command_line import main as run_lightning

    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")  # it is correct: sys.argv has our own verb
    run_lightning([verb, *arguments])
    return EXIT_DONE


def missing_packages() -> list[str]:
    """Return the names of the packages that training needs and that are not installed."""
    return [name for name in ("torch", "lightning") if find_spec(name) is None]


def require_training() -> None:
    """Raise ImportError unless the train extra is installed."""
    missing = missing_packages()
    if missing:
        raise ImportError(f"this command needs {' and '.join(missing)}: pip install \".[train]\"")
