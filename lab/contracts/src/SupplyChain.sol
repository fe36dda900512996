// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Goods on their way from station to station
contract SupplyChain {
    /// @dev Two slots.
    struct Item {
        address holder;
        uint32 stations;
        uint64 movedAt;
        bytes32 trail;
    }

    mapping(uint256 id => Item) public items;
    mapping(uint256 station => uint256) public arrivals;

    event Moved(uint256 indexed id, uint256 indexed station, address holder, bytes32 trail);

    /// @notice Takes an item over at a station; its trail is a hash of all that was noted.
    function move(uint256 id, uint256 station, bytes32 note) external {
        Item memory item = items[id];
        item.trail = keccak256(abi.encode(item.trail, item.holder, station, note));
        item.holder = msg.sender;
        item.movedAt = uint64(block.timestamp);
        ++item.stations;
        items[id] = item;
        ++arrivals[station];
        emit Moved(id, station, msg.sender, item.trail);
    }
}
