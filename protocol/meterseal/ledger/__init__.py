"""What an EVM ledger says, believed by hashes and seals alone: no node is trusted.

In the order of a check: `header` rebuilds the hashes of a block header, `seals` recovers who sealed
it, `trie` walks from its state root to an account and a storage slot, `slot` knows where the log
contract keeps a root, and `proof` puts the steps together. `rlp` and `keccak` serve them all.
"""
