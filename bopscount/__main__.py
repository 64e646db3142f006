"""`python -m bopscount`."""

import sys

from bopscount.cli import main

sys.exit(main())
