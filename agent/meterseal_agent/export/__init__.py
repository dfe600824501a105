"""From the store to a file that a stranger can judge.

`proof` puts together what shows that a reading or an interval is logged and anchored, `accuse`
what shows that the log did wrong.
"""

from meterseal_agent.export.accuse import accusation, find_alarm
from meterseal_agent.export.proof import NotProvable, interval_evidence, reading_evidence

__all__ = ["NotProvable", "accusation", "find_alarm", "interval_evidence", "reading_evidence"]
