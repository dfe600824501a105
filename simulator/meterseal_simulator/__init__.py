"""Houses, meters, lines, a ledger and a broker that answer as the real ones do."""
