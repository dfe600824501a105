// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title RFC 9162 Merkle trees with SHA-256: what a contract must check of them
/// @notice Inclusion and consistency as sections 2.1.3.2 and 2.1.4.2 of RFC 9162 give them; protocol section 6.
/// @dev Internal functions only: the library is part of the code of whoever uses it, so that one code hash names both.
///      Sizes and indices are below 2^63; callers hold that.
library Rfc9162 {
    /// @notice The root of the tree without leaves: SHA-256 of the empty string.
    bytes32 internal constant EMPTY_ROOT = 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;

    /// @notice Hash of a leaf, SHA-256(0x00 ‖ data).
    function leafHash(bytes calldata data) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), data));
    }

    /// @notice Hash of an inner node, SHA-256(0x01 ‖ left ‖ right).
    /// @dev Writes 65 bytes behind the free memory pointer without claiming them, and the result into the scratch word.
    ///      A failed call to the precompile (only too little gas does that) reverts: it never yields a hash.
    function nodeHash(bytes32 left, bytes32 right) internal view returns (bytes32 hash) {
        assembly ("memory-safe") {
            let node := mload(0x40)
            mstore8(node, 0x01)
            mstore(add(node, 0x01), left)
            mstore(add(node, 0x21), right)
            if iszero(staticcall(gas(), 0x02, node, 0x41, 0x00, 0x20)) { revert(0x00, 0x00) }
            hash := mload(0x00)
        }
    }

    /// @notice Whether `leaf` is the leaf `index` of the tree of `size` leaves with this root.
    function verifyInclusion(
        uint256 index,
        uint256 size,
        bytes32 leaf,
        bytes32[] calldata path,
        bytes32 root
    ) internal view returns (bool) {
        if (index >= size) return false;
        uint256 fn = index;
        uint256 sn = size - 1;
        bytes32 r = leaf;
        for (uint256 i = 0; i < path.length; ++i) {
            if (sn == 0) return false;
            if (fn & 1 == 1 || fn == sn) {
                r = nodeHash(path[i], r);
                while (fn & 1 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                r = nodeHash(r, path[i]);
            }
            fn >>= 1;
            sn >>= 1;
        }
        return sn == 0 && r == root;
    }

    /// @notice Whether the tree of `size` leaves with `root` begins with the tree of `oldSize` leaves with `oldRoot`.
    /// @dev An old size of 0 proves nothing and is refused: the caller decides what may follow an empty tree.
    function verifyConsistency(
        uint256 oldSize,
        uint256 size,
        bytes32 oldRoot,
        bytes32 root,
        bytes32[] calldata path
    ) internal view returns (bool) {
        if (oldSize == 0 || oldSize > size) return false;
        if (oldSize == size) return path.length == 0 && oldRoot == root;
        if (path.length == 0) return false;

        uint256 fn = oldSize - 1;
        uint256 sn = size - 1;
        while (fn & 1 == 1) {
            fn >>= 1;
            sn >>= 1;
        }
        // A power of two is a complete tree: its root is the first node and is not repeated in the path. Then fn is 0.
        uint256 i = fn == 0 ? 0 : 1;
        bytes32 fr = fn == 0 ? oldRoot : path[0];
        bytes32 sr = fr;
        for (; i < path.length; ++i) {
            if (sn == 0) return false;
            bytes32 c = path[i];
            if (fn & 1 == 1 || fn == sn) {
                fr = nodeHash(c, fr);
                sr = nodeHash(c, sr);
                while (fn & 1 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                sr = nodeHash(sr, c);
            }
            fn >>= 1;
            sn >>= 1;
        }
        return sn == 0 && fr == oldRoot && sr == root;
    }
}
