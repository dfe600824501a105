"""The slaves that share a line: who answers a request, and what the faults make of the answer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from meterseal_simulator.faults import Faults, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterseal_simulator.modbus import Request
    from meterseal_simulator.registers import Slave


class Bus:
    """Answers requests to several slaves, whichever transport brings them.

    A request to an address where nobody sits stays without an answer, as on a real line; so does
    one to address 0, which is for broadcasts.
    """

    def __init__(self, slaves: Mapping[int, Slave]) -> None:
        self.slaves = slaves
        self.faults = Faults()
        self._lock = threading.Lock()
        self._requests = dict.fromkeys(slaves, 0)  # guarded by _lock

    def answer(self, request: Request) -> Reply | None:
        """Return the reply as it goes out, or None for silence."""
        slave = self.slaves.get(request.unit)
        if slave is None:
            return None
        with self._lock:
            self._requests[request.unit] += 1
            pdu = slave.answer(request.pdu)
        return self.faults.apply(request, Reply(unit=request.unit, pdu=pdu, request=request))

    def tell(self, request: Request) -> bytes | None:
        """Return what a slave tells another master: no fault touches it, and nobody counts it."""
        slave = self.slaves.get(request.unit)
        if slave is None:
            return None
        with self._lock:
            return slave.answer(request.pdu)

    def requests(self) -> dict[int, int]:
        """Return how many requests each slave has heard."""
        with self._lock:
            return dict(self._requests)
