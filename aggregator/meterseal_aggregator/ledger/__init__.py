"""How the log is anchored: plain JSON-RPC to any EVM chain, one log contract, a journal."""
