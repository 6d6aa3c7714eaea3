"""``python -m salstm <command>``."""

import sys

from salstm.cli import main

sys.exit(main())
