// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Rfc9162} from "./Rfc9162.sol";

/// @title MeterSealLog: append-only anchors of many logs
/// @notice Holds (size, root) of each log's checkpoints and lets a log only grow: a new root needs an RFC 9162
///         consistency proof from the one before. Protocol section 7.
/// @dev No proxy, delegatecall, selfdestruct, owner or immutables: the code hash is the contract. The storage layout is
///      part of the specification, because devices read it through storage proofs:
///        slot 0: logs[logId] = { anchorer (20 bytes), size (8 bytes) }, then { pending }
///        slot 1: roots[logId][size], at keccak256(pad32(size) ‖ keccak256(logId ‖ pad32(1))); absent = not anchored.
///      (size, root) is the anchorer's claim until a checkpoint signed by the log with that origin, size and root is
///      shown; the contract checks no log signature.
contract MeterSealLog {
    struct Log {
        address anchorer;
        uint64 size;
        address pending;
    }

    /// @notice A size must be below this: one bit is spared for signed arithmetic elsewhere.
    uint64 public constant SIZE_LIMIT = 1 << 63;

    mapping(bytes32 logId => Log) private logs;
    mapping(bytes32 logId => mapping(uint64 size => bytes32 root)) private roots;

    event Registered(bytes32 indexed logId, address indexed registrant, bytes32 originHash);
    event Anchored(bytes32 indexed logId, uint64 indexed size, bytes32 root);
    event AnchorerOffered(bytes32 indexed logId, address indexed pending);
    event AnchorerChanged(bytes32 indexed logId, address indexed anchorer);

    error AlreadyRegistered(bytes32 logId);
    error UnknownLog(bytes32 logId);
    error NotAnchorer(address expected, address got);
    error NotPending(address expected, address got);
    error OldSizeMismatch(uint64 expected, uint64 got);
    error SizeNotGrowing(uint64 oldSize, uint64 got);
    error SizeTooLarge(uint64 limit, uint64 got);
    error ZeroRoot();
    error FirstProofNotEmpty(uint256 expected, uint256 got);
    error Inconsistent(uint64 oldSize, uint64 size, bytes32 oldRoot, bytes32 root);
    error NotAnchored(bytes32 logId, uint64 size);

    /// @notice Open a log under the sender's own address, with size 0 and the empty root.
    /// @param originHash SHA-256 of the log's origin line, without the newline.
    /// @return logId The name of the log in this contract.
    function register(bytes32 originHash) external returns (bytes32 logId) {
        logId = logIdOf(msg.sender, originHash);
        if (logs[logId].anchorer != address(0)) revert AlreadyRegistered(logId);
        logs[logId].anchorer = msg.sender;
        roots[logId][0] = Rfc9162.EMPTY_ROOT;
        emit Registered(logId, msg.sender, originHash);
    }

    /// @notice Anchor a checkpoint of the log.
    /// @param oldSize The size that the proof starts from; it must be the latest anchored one.
    /// @param size The new size, larger than the old one.
    /// @param root The root of the tree of `size` leaves.
    /// @param proof RFC 9162 consistency proof from `oldSize`; empty when `oldSize` is 0.
    function anchor(bytes32 logId, uint64 oldSize, uint64 size, bytes32 root, bytes32[] calldata proof) external {
        Log storage log = logs[logId];
        (address anchorer, uint64 stored) = (log.anchorer, log.size);
        if (msg.sender != anchorer) {
            if (anchorer == address(0)) revert UnknownLog(logId);
            revert NotAnchorer(anchorer, msg.sender);
        }
        if (oldSize != stored) revert OldSizeMismatch(stored, oldSize);
        if (size <= stored) revert SizeNotGrowing(stored, size);
        if (size >= SIZE_LIMIT) revert SizeTooLarge(SIZE_LIMIT, size);
        if (root == 0) revert ZeroRoot(); // an empty slot is how a storage proof says "not anchored"

        mapping(uint64 => bytes32) storage ownRoots = roots[logId];
        if (stored == 0) {
            // Nothing is proved from an empty tree: devices hold their own checkpoint against the first anchor.
            if (proof.length != 0) revert FirstProofNotEmpty(0, proof.length);
        } else {
            bytes32 oldRoot = ownRoots[stored];
            if (!Rfc9162.verifyConsistency(stored, size, oldRoot, root, proof)) {
                revert Inconsistent(stored, size, oldRoot, root);
            }
        }
        log.size = size;
        ownRoots[size] = root;
        emit Anchored(logId, size, root);
    }

    /// @notice Offer the right to anchor to another address; the zero address withdraws the offer.
    function offerAnchorer(bytes32 logId, address pending) external {
        address anchorer = logs[logId].anchorer;
        if (anchorer == address(0)) revert UnknownLog(logId);
        if (msg.sender != anchorer) revert NotAnchorer(anchorer, msg.sender);
        logs[logId].pending = pending;
        emit AnchorerOffered(logId, pending);
    }

    /// @notice Take over the right to anchor; only who it was offered to can, so it is never lost to a mistyped address.
    function acceptAnchorer(bytes32 logId) external {
        address pending = logs[logId].pending;
        if (msg.sender != pending) revert NotPending(pending, msg.sender);
        logs[logId].anchorer = pending;
        delete logs[logId].pending;
        emit AnchorerChanged(logId, pending);
    }

    /// @notice The latest anchor: (0, empty root) after registration, (0, zero) when there is no such log.
    function latest(bytes32 logId) external view returns (uint64 size, bytes32 root) {
        size = logs[logId].size;
        root = roots[logId][size];
    }

    /// @notice The root anchored at a size; zero when that size is not anchored.
    function rootOf(bytes32 logId, uint64 size) external view returns (bytes32) {
        return roots[logId][size];
    }

    /// @notice Who may anchor, and whom the right is offered to.
    function anchorerOf(bytes32 logId) external view returns (address anchorer, address pending) {
        return (logs[logId].anchorer, logs[logId].pending);
    }

    /// @notice Whether a record is the leaf `index` of the log as anchored at `size`.
    /// @param record The full bytes of the record. The leaf hash is made here: who passed an inner node could prove
    ///        what is no record.
    function proveRecord(bytes32 logId, uint64 size, uint64 index, bytes calldata record, bytes32[] calldata path)
        external
        view
        returns (bool)
    {
        bytes32 root = roots[logId][size];
        if (root == 0) revert NotAnchored(logId, size);
        return Rfc9162.verifyInclusion(index, size, Rfc9162.leafHash(record), path, root);
    }

    /// @notice The name of a registrant's log: keccak256(chain id ‖ contract ‖ registrant ‖ origin hash), 32 bytes each.
    function logIdOf(address registrant, bytes32 originHash) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), registrant, originHash));
    }
}
