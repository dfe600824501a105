// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title RFC 9162 trees by the recursive definitions of sections 2.1.1 to 2.1.4
/// @notice Slow and plain, so that a reader can hold it beside the RFC; what Rfc9162.sol is checked against.
library Reference {
    function leaves(uint256 count, bytes32 seed) internal pure returns (bytes32[] memory made) {
        made = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            made[i] = sha256(abi.encodePacked(bytes1(0x00), record(seed, i)));
        }
    }

    function record(bytes32 seed, uint256 index) internal pure returns (bytes memory) {
        return abi.encodePacked(seed, index);
    }

    /// @dev MTH(D[from:to]).
    function root(bytes32[] memory d, uint256 from, uint256 to) internal pure returns (bytes32) {
        if (to == from) return sha256("");
        if (to - from == 1) return d[from];
        uint256 k = split(to - from);
        return node(root(d, from, from + k), root(d, from + k, to));
    }

    /// @dev PATH(m, D[from:to]).
    function inclusion(uint256 m, bytes32[] memory d, uint256 from, uint256 to)
        internal
        pure
        returns (bytes32[] memory)
    {
        if (to - from == 1) return new bytes32[](0);
        uint256 k = split(to - from);
        if (m < k) return append(inclusion(m, d, from, from + k), root(d, from + k, to));
        return append(inclusion(m - k, d, from + k, to), root(d, from, from + k));
    }

    /// @dev SUBPROOF(m, D[from:to], whole).
    function consistency(uint256 m, bytes32[] memory d, uint256 from, uint256 to, bool whole)
        internal
        pure
        returns (bytes32[] memory)
    {
        if (m == to - from) {
            return whole ? new bytes32[](0) : append(new bytes32[](0), root(d, from, to));
        }
        uint256 k = split(to - from);
        if (m <= k) return append(consistency(m, d, from, from + k, whole), root(d, from + k, to));
        return append(consistency(m - k, d, from + k, to, false), root(d, from, from + k));
    }

    function node(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    /// @dev The largest power of two below n.
    function split(uint256 n) internal pure returns (uint256 k) {
        k = 1;
        while (k * 2 < n) k *= 2;
    }

    function append(bytes32[] memory path, bytes32 last) internal pure returns (bytes32[] memory longer) {
        longer = new bytes32[](path.length + 1);
        for (uint256 i = 0; i < path.length; ++i) longer[i] = path[i];
        longer[path.length] = last;
    }
}
