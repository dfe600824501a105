"""`python -m meterseal_simulator.demo`, which scripts/demo calls."""

from __future__ import annotations

import signal
import sys

# Ctrl-C during the imports ends it quietly; from then on `run` ends the children in order.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from meterseal_simulator.demo.run import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
