"""`python -m mfn` is the `mfn` command."""

import sys

from mfn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
