"""From the store to the broker, and the answers back.

Read in this order: `outgoing` (what to send next), `link` (one connection), `backoff` (how long to
wait for the next), `inbox` (what answers mean), `publisher` (the task that joins them).
"""
