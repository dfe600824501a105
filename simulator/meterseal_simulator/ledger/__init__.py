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

from __future__ import annotations

import sys

import eth  # noqa: E402, F401 -- first, so that the last line undoes what importing it does
import py_ecc  # noqa: E402, F401 -- likewise; eth_account imports it

# Both raise the limit of the whole process so far that the C stack ends before Python says so:
# deeply nested JSON, read anywhere in the process, would crash it. Ours calls no deep contracts.
sys.setrecursionlimit(1000)
