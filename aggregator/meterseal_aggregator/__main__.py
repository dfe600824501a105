"""`meterseal-aggregator`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and end with its status."""
    try:
        from meterseal_aggregator.cli import main as run  # noqa: PLC0415 -- to say what is missing
    except ModuleNotFoundError as error:
        print(
            f"meterseal-aggregator: the package {error.name} is not installed here; "
            "install the extra: pip install 'meterseal[aggregator]'",
            file=sys.stderr,
        )
        sys.exit(1)
    sys.exit(run())


if __name__ == "__main__":
    main()
