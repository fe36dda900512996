// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A plain fungible token
/// @notice OpenZeppelin's ERC-20 with its whole supply given to one holder at creation.
contract Token is ERC20 {
    constructor(string memory name_, string memory symbol_, uint256 supply, address holder)
        ERC20(name_, symbol_)
    {
        _mint(holder, supply);
    }
}
