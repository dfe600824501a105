"""The checker: judges an evidence file by a policy of the checker's own."""
