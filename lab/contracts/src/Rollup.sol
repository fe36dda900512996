// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The inboxes of rollups
contract Rollup {
    /// @dev Two slots.
    struct Inbox {
        uint64 batches;
        uint64 updatedAt;
        bytes32 root;
    }

    mapping(uint256 id => Inbox) public inboxes;
    mapping(uint256 id => mapping(uint256 number => bytes32)) public roots;

    event Batch(uint256 indexed id, uint256 indexed number, bytes32 root);

    /// @notice Adds a batch: its root is that of a binary tree over its words.
    function post(uint256 id, bytes calldata data) external {
        Inbox memory inbox = inboxes[id];
        uint256 words = data.length / 32;
        bytes32[] memory layer = new bytes32[](words);
        for (uint256 index = 0; index < words; ++index) {
            layer[index] = bytes32(data[32 * index:32 * index + 32]);
        }
        while (words > 1) {
            words /= 2;
            for (uint256 index = 0; index < words; ++index) {
                layer[index] = keccak256(abi.encode(layer[2 * index], layer[2 * index + 1]));
            }
        }
        inbox.root = keccak256(abi.encode(inbox.root, data.length == 0 ? bytes32(0) : layer[0]));
        inbox.updatedAt = uint64(block.timestamp);
        roots[id][inbox.batches] = inbox.root;
        emit Batch(id, inbox.batches, inbox.root);
        ++inbox.batches;
        inboxes[id] = inbox;
    }
}
