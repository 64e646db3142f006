"""Entry point of `python -m bopscount`."""

import sys

from bopscount.cli.main import main

sys.exit(main())
