"""The auditor: reads the whole store again and believes nothing that a row says of itself.

1. SQLite finds the file sound, and origin and keys are those that the store was made with.
2. Every record is what its row says, signed by the key that rules where it stands, and every
   connected one follows its chain by the rules of protocol 4.
3. Heads are the last connected records; each contradiction names two records of its device.
4. Every connected light record and enrolment is queued or logged, once, and nothing else is; the
   records of a device lie in the log in light order.
5. Every node is the hash of its children, and every checkpoint states the root at its size, signed.
6. What the journal and the anchors say fits the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.checkpoint import open_checkpoint
from meterseal.errors import EncodingError, ProtocolError, SignatureInvalid
from meterseal.merkle import CompactRange, leaf_hash, root_from
from meterseal.statements import open_enrolment
from meterseal_aggregator.chaincheck import check_device
from meterseal_aggregator.errors import StoreError
from meterseal_aggregator.identity import strangers
from meterseal_aggregator.sequencer import log_signer, operator_witness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterseal.types import DeviceId, Hash
    from meterseal_aggregator.keyfiles import Keys
    from meterseal_aggregator.store import Store


def check_store(store: Store, origin: str, keys: Keys) -> list[str]:
    """Audit a store.

    Returns:
        One sentence for each fault; empty when all is well.
    """
    with store.read():
        faults = store.integrity()
        if faults:  # nothing that is read from a broken file says anything
            return faults
        return [
            *strangers(store, origin, keys),
            *_check_devices(store),
            *_check_log(store, keys),
            *_check_checkpoints(store, origin, keys),
            *_check_anchors(store),
        ]


def _check_devices(store: Store) -> Iterator[str]:
    for device in store.devices.all():
        yield from check_device(store, device)


def _check_log(store: Store, keys: Keys) -> Iterator[str]:
    """Step 4, and the nodes of step 5."""
    expected: dict[Hash, DeviceId | None] = {}
    for leaf, statement in store.devices.enrolments():
        expected[leaf] = None
        yield from _check_enrolment(leaf, statement, keys)
    for device in store.devices.all():
        expected.update(dict.fromkeys(store.records.light_hashes(device.id), device.id))
    tree = CompactRange()
    nodes: dict[tuple[int, int], Hash] = {}
    for index, leaf, owner in store.tree.leaves():
        if index != tree.size:
            yield f"log: leaf {tree.size} is missing"
            return
        if expected.pop(leaf, b"") != owner:
            yield f"log: leaf {index} ({leaf.hex()}) is nothing that should be logged"
        nodes.update({(n.level, n.index): n.hash for n in tree.append(leaf)[1:]})
    for _, leaf, owner in store.tree.queued(-1):
        if expected.pop(leaf, b"") != owner:
            yield f"queue: {leaf.hex()} is nothing that should be logged"
    for leaf in expected:
        yield f"log: {leaf.hex()} is neither logged nor queued"
    yield from _check_nodes(store, nodes)


def _check_enrolment(leaf: Hash, statement: bytes, keys: Keys) -> Iterator[str]:
    try:
        open_enrolment(statement, keys.enrolment)
    except (EncodingError, SignatureInvalid) as error:
        yield f"enrolment {leaf.hex()}: {error}"
    if leaf_hash(statement) != leaf:
        yield f"enrolment {leaf.hex()}: the statement's hash is another"


def _check_nodes(store: Store, nodes: dict[tuple[int, int], Hash]) -> Iterator[str]:
    stored = {(level, index): node for level, index, node in store.tree.nodes()}
    for place in sorted(stored.keys() | nodes.keys()):
        name = f"log: node {place[1]} of level {place[0]}"
        if place not in stored or place not in nodes:
            yield f"{name} is missing or too many"
        elif stored[place] != nodes[place]:
            yield f"{name} is not the hash of its children"


def _check_checkpoints(store: Store, origin: str, keys: Keys) -> Iterator[str]:
    """Step 5: each signed note states the tree as it is."""
    log, witness = log_signer(origin, keys).verifier, operator_witness(origin, keys).verifier
    size = store.tree.size()
    for row in store.tree.checkpoints():
        try:
            signed = open_checkpoint(row.note, log, [witness])
        except ProtocolError as error:
            yield f"checkpoint {row.size}: {error}"
            continue
        stated = signed.checkpoint
        if (stated.origin, stated.size, stated.root) != (origin, row.size, row.root):
            yield f"checkpoint {row.size}: its note states something else"
        if signed.time_of(witness) != row.time_s:
            yield f"checkpoint {row.size}: it is not cosigned by the operator at its time"
        if row.size > size:
            yield f"checkpoint {row.size}: the log has only {size} leaves"
        elif _root(store, row.size) != row.root:
            yield f"checkpoint {row.size}: the log has another root"


def _check_anchors(store: Store) -> Iterator[str]:
    """Step 6."""
    size = store.tree.size()
    for entry in store.journal.entries():
        if entry.purpose == "anchor" and store.tree.checkpoint(entry.size) is None:
            yield f"journal: size {entry.size} was sent to the ledger without a checkpoint"
    for anchored in store.journal.all_anchored():
        if anchored.size > size or _root(store, anchored.size) != anchored.root:
            yield f"anchor {anchored.size}: ANCHOR MISMATCH, the log has another root"


def _root(store: Store, size: int) -> Hash | None:
    try:
        return root_from(size, store.tree.read)
    except StoreError:
        return None  # a missing node has been named above
