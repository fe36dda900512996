// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What three collectibles share: owners and traits of tokens
abstract contract Mint {
    mapping(uint256 id => address) public ownerOf;
    mapping(uint256 id => bytes32) public traits;
    mapping(address owner => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 indexed id);

    function _mint(uint256 id) internal {
        ownerOf[id] = msg.sender;
        traits[id] = keccak256(abi.encode(block.prevrandao, id, msg.sender));
        balanceOf[msg.sender] += 1;
        emit Transfer(address(0), msg.sender, id);
    }
}

/// @title Every mint waits for the one before it, for two reasons
contract SerialMint is Mint {
    uint256 public nextId;
    address public lastMinter;

    /// @notice Mints the next token for the caller.
    function mint() external returns (uint256 id) {
        id = nextId;
        nextId = id + 1;
        lastMinter = msg.sender;
        _mint(id);
    }
}

/// @title Without the last minter, whom the event names
contract CounterMint is Mint {
    uint256 public nextId;

    /// @notice Mints the next token for the caller.
    function mint() external returns (uint256 id) {
        id = nextId;
        nextId = id + 1;
        _mint(id);
    }
}

/// @title Numbers of tokens that every caller counts for itself
contract ParallelMint is Mint {
    /// @notice Mints a token for the caller: the caller's address, and how many it had before.
    function mint() external returns (uint256 id) {
        id = uint256(uint160(msg.sender)) << 96 | balanceOf[msg.sender];
        _mint(id);
    }
}
