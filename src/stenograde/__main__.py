"""``python -m stenograde`` is the command line."""

import sys

from stenograde.cli import main

if __name__ == "__main__":
    sys.exit(main())
