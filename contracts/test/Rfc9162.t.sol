// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Rfc9162} from "../src/Rfc9162.sol";
import {Reference} from "./Reference.sol";

/// @dev The library's functions read their paths from calldata, so a test calls them through this.
contract Checks {
    function inclusion(uint256 index, uint256 size, bytes32 leaf, bytes32[] calldata path, bytes32 root)
        external
        view
        returns (bool)
    {
        return Rfc9162.verifyInclusion(index, size, leaf, path, root);
    }

    function consistency(uint256 oldSize, uint256 size, bytes32 oldRoot, bytes32 root, bytes32[] calldata path)
        external
        view
        returns (bool)
    {
        return Rfc9162.verifyConsistency(oldSize, size, oldRoot, root, path);
    }
}

contract Rfc9162Test {
    uint256 private constant SIZES = 97;

    Checks private checks = new Checks();

    function testFuzz_ANodeHashIsThatOfTheRfc(bytes32 left, bytes32 right) public view {
        require(Rfc9162.nodeHash(left, right) == Reference.node(left, right));
    }

    function testFuzz_HashingANodeLeavesMemoryAlone(bytes32 left, bytes32 right, bytes memory kept) public view {
        bytes32 before = keccak256(kept);
        bytes memory hashed = abi.encodePacked(Rfc9162.nodeHash(left, right));
        bytes memory later = abi.encodePacked(kept);
        Rfc9162.nodeHash(right, left);
        require(keccak256(kept) == before && keccak256(later) == before);
        require(bytes32(hashed) == Reference.node(left, right));
    }

    function testFuzz_AnHonestConsistencyProofIsTaken(uint256 oldSize, uint256 size, bytes32 seed) public view {
        (oldSize, size) = sizes(oldSize, size);
        bytes32[] memory d = Reference.leaves(size, seed);
        bytes32[] memory path = Reference.consistency(oldSize, d, 0, size, true);
        require(checks.consistency(oldSize, size, Reference.root(d, 0, oldSize), Reference.root(d, 0, size), path));
    }

    function testFuzz_ADamagedConsistencyProofIsRefused(
        uint256 oldSize,
        uint256 size,
        bytes32 seed,
        uint256 nth,
        uint8 bit
    ) public view {
        (oldSize, size) = sizes(oldSize, size);
        bytes32[] memory d = Reference.leaves(size, seed);
        bytes32[] memory path = Reference.consistency(oldSize, d, 0, size, true);
        bytes32 oldRoot = Reference.root(d, 0, oldSize);
        bytes32 root = Reference.root(d, 0, size);
        require(!checks.consistency(oldSize, size, oldRoot, root ^ bytes32(1 << bit), path));
        require(!checks.consistency(oldSize, size, oldRoot ^ bytes32(1 << bit), root, path));
        require(!checks.consistency(oldSize, size, oldRoot, root, Reference.append(path, seed)));
        if (path.length == 0) return; // equal sizes need none
        path[nth % path.length] ^= bytes32(1 << bit);
        require(!checks.consistency(oldSize, size, oldRoot, root, path));
    }

    function testFuzz_AnInventedConsistencyProofIsRefused(
        uint64 oldSize,
        uint64 size,
        bytes32 oldRoot,
        bytes32 root,
        bytes32[] memory path
    ) public view {
        if (oldSize == size && oldRoot == root) return;
        require(!checks.consistency(oldSize, size, oldRoot, root, path));
    }

    function testFuzz_AnHonestInclusionProofIsTakenAtItsIndexOnly(
        uint256 index,
        uint256 size,
        bytes32 seed,
        uint256 elsewhere
    ) public view {
        size = 1 + size % SIZES;
        index %= size;
        elsewhere %= size;
        bytes32[] memory d = Reference.leaves(size, seed);
        bytes32[] memory path = Reference.inclusion(index, d, 0, size);
        bytes32 root = Reference.root(d, 0, size);
        require(checks.inclusion(index, size, d[index], path, root));
        require(elsewhere == index || !checks.inclusion(elsewhere, size, d[index], path, root));
        require(!checks.inclusion(index, size, d[index], Reference.append(path, seed), root));
        require(!checks.inclusion(size, size, d[index], path, root));
    }

    function testFuzz_TooLittleGasNeverMakesALie(uint256 oldSize, uint256 size, bytes32 seed, uint24 gasLimit)
        public
        view
    {
        (oldSize, size) = sizes(oldSize, size);
        bytes32[] memory d = Reference.leaves(size, seed);
        bytes32[] memory path = Reference.consistency(oldSize, d, 0, size, true);
        bytes32 root = Reference.root(d, 0, size);
        (bool done, bytes memory answer) = address(checks).staticcall{gas: gasLimit % 60000}(
            abi.encodeCall(Checks.consistency, (oldSize, size, Reference.root(d, 0, oldSize), root, path))
        );
        require(!done || abi.decode(answer, (bool)));
        (done, answer) = address(checks).staticcall{gas: gasLimit % 60000}(
            abi.encodeCall(Checks.consistency, (oldSize, size, ~Reference.root(d, 0, oldSize), root, path))
        );
        require(!done || !abi.decode(answer, (bool)));
    }

    function sizes(uint256 oldSize, uint256 size) private pure returns (uint256, uint256) {
        size = 1 + size % SIZES;
        return (1 + oldSize % size, size);
    }
}
