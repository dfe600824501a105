"""`meterseal-aggregator`."""

from __future__ import annotations

import sys

from meterseal_aggregator.cli import main as run


def main() -> None:
    """Run the command line and end with its status."""
    sys.exit(run())


if __name__ == "__main__":
    main()
