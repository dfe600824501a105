"""The aggregator: verifies, stores and logs the records of many gateways, and anchors the log."""
