// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

/// @title A plain non-fungible token
/// @notice OpenZeppelin's ERC-721; any account may mint the next token.
contract Collectible is ERC721 {
    uint256 public minted;

    constructor() ERC721("Collectible", "COL") {}

    function mint() external returns (uint256 id) {
        id = minted++;
        _mint(msg.sender, id);
    }
}
