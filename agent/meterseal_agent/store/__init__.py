"""The device's chain on disk: durable before released, and never two heads.

Read in this order: `schema` (what is on disk), `store` (the append transaction), `marker` (what
proves the store newest), `receipts` (what came back), `outbox` (what is still to be sent), `audit`
(the check of everything, which is also `meterseal-agent fsck`).
"""
