// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title Many payments of one token in one transaction
contract Payouts {
    using SafeERC20 for IERC20;

    /// @notice Pays `amount` of the caller's tokens to each of the recipients.
    function pay(IERC20 token, uint256 amount, address[] calldata recipients) external {
        for (uint256 index = 0; index < recipients.length; ++index) {
            token.safeTransferFrom(msg.sender, recipients[index], amount);
        }
    }
}
