// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MeterSealLog} from "../src/MeterSealLog.sol";
import {Reference} from "./Reference.sol";

/// @dev What is used of forge's cheat codes.
interface Vm {
    function prank(address sender) external;
}

contract MeterSealLogTest {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 private constant SIZES = 65;

    MeterSealLog private logs = new MeterSealLog();

    function testFuzz_AnyWalkOfHonestAnchorsIsTaken(bytes32 seed, bytes32 originHash, uint8[6] memory steps) public {
        bytes32[] memory d = Reference.leaves(SIZES * steps.length, seed);
        bytes32 logId = logs.register(originHash);
        uint64 size = 0;
        for (uint256 i = 0; i < steps.length; ++i) {
            uint64 next = size + 1 + uint64(steps[i] % SIZES);
            if (next > d.length) break;
            bytes32[] memory proof = size == 0 ? new bytes32[](0) : Reference.consistency(size, d, 0, next, true);
            logs.anchor(logId, size, next, Reference.root(d, 0, next), proof);
            size = next;
        }
        (uint64 latestSize, bytes32 latestRoot) = logs.latest(logId);
        require(latestSize == size && latestRoot == Reference.root(d, 0, size));
    }

    function testFuzz_AnotherHistoryIsRefused(bytes32 seed, bytes32 other, uint64 oldSize, uint64 size) public {
        if (seed == other) return;
        oldSize = 1 + oldSize % uint64(SIZES);
        size = oldSize + 1 + size % uint64(SIZES);
        bytes32 logId = logs.register(seed);
        logs.anchor(logId, 0, oldSize, Reference.root(Reference.leaves(oldSize, seed), 0, oldSize), new bytes32[](0));
        bytes32[] memory d = Reference.leaves(size, other);
        bytes32[] memory proof = Reference.consistency(oldSize, d, 0, size, true);
        try logs.anchor(logId, oldSize, size, Reference.root(d, 0, size), proof) {
            revert("a rewritten log was taken");
        } catch {}
    }

    function testFuzz_AStrangerAnchorsNothing(address stranger, bytes32 originHash, uint64 size, bytes32 root) public {
        if (stranger == address(this)) return;
        bytes32 logId = logs.register(originHash);
        VM.prank(stranger);
        try logs.anchor(logId, 0, size, root, new bytes32[](0)) {
            revert("a stranger anchored");
        } catch {}
    }

    function testFuzz_TheRightToAnchorMovesOnlyToWhoAccepts(address heir, bytes32 originHash) public {
        if (heir == address(0) || heir == address(this)) return;
        bytes32 logId = logs.register(originHash);
        logs.offerAnchorer(logId, heir);
        (address anchorer, address pending) = logs.anchorerOf(logId);
        require(anchorer == address(this) && pending == heir);
        VM.prank(heir);
        logs.acceptAnchorer(logId);
        (anchorer, pending) = logs.anchorerOf(logId);
        require(anchorer == heir && pending == address(0));
        try logs.anchor(logId, 0, 1, originHash, new bytes32[](0)) {
            revert("the former anchorer anchored");
        } catch {}
    }

    function testFuzz_ARecordIsProvedByItsBytesAlone(bytes32 seed, uint64 size, uint64 index, bytes memory other) public {
        size = 1 + size % uint64(SIZES);
        index %= size;
        bytes32[] memory d = Reference.leaves(size, seed);
        bytes32 logId = logs.register(seed);
        logs.anchor(logId, 0, size, Reference.root(d, 0, size), new bytes32[](0));
        bytes memory record = Reference.record(seed, index);
        bytes32[] memory path = Reference.inclusion(index, d, 0, size);
        require(logs.proveRecord(logId, size, index, record, path));
        if (keccak256(other) == keccak256(record)) return;
        require(!logs.proveRecord(logId, size, index, other, path));
    }
}
