"""The gateway's daemon: from registers on a bus to signed, durable, published records."""
