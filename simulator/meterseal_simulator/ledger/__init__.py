"""The embedded development ledger: London rules, durable, sealed as a QBFT consortium seals.

Read in data-path order:

* `keys` holds the validators' and the funded account's keys in the data folder.
* `admission` says what may enter a block.
* `evm` executes transactions with py-evm over the state that `store` keeps.
* `seal` makes a header that four validators signed, over the real state root.
* `chain` joins them: one transaction, one block, one commit.
* `trie` reads accounts and slots out of the state, with the nodes that prove them.
* `rpc` and `views` speak Ethereum's JSON-RPC; `server` serves it on loopback.

It is for demonstrations and tests. Its four validators are four keys in one process, so its seals
show that a checker works, and not that anybody agreed.
"""
