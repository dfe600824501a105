"""From the store to the broker, and the answers back.

Read in this order: `outgoing` (what to send next), `sender` (hands it over), `link` (one
connection), `backoff` (how long to wait for the next), `answer` and `inbox` (what comes back
means), `talk` (when to say what), `publisher` (the task that joins them).
"""
