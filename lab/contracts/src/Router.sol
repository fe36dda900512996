// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IPoolPayer} from "./IPoolPayer.sol";
import {Pool} from "./Pool.sol";

/// @title Entry point of traders
/// @notice Holds their allowances and pays the pools that it knows. Keeps nothing between calls.
contract Router is Ownable, IPoolPayer {
    using SafeERC20 for IERC20;

    /// @notice Pools that may ask this router for payment.
    mapping(address pool => bool) public isPool;

    error Expired(uint256 deadline);
    error UnknownPool(address pool);

    event PoolAdded(address indexed pool);

    constructor(address owner_) Ownable(owner_) {}

    /// @notice Lets a pool ask for payment; `swap` works on such pools only.
    function addPool(address pool) external onlyOwner {
        isPool[pool] = true;
        emit PoolAdded(pool);
    }

    /// @notice Sells exactly `amountIn` of the caller's tokens to `pool`.
    /// @param zeroForOne Whether token 0 is sold for token 1.
    /// @param minimumOut The least that `recipient` must get.
    /// @param deadline The last second, in Unix time, at which the trade may happen.
    function swap(
        Pool pool,
        bool zeroForOne,
        uint256 amountIn,
        uint256 minimumOut,
        address recipient,
        uint256 deadline
    ) external returns (uint256 amountOut) {
        if (block.timestamp > deadline) revert Expired(deadline);
        if (!isPool[address(pool)]) revert UnknownPool(address(pool));
        return pool.swap(recipient, zeroForOne, amountIn, minimumOut, abi.encode(msg.sender));
    }

    /// @inheritdoc IPoolPayer
    function payPool(address token, uint256 amount, bytes calldata data) external {
        // A known pool calls the caller of its `swap`, and this contract calls it in one place,
        // with its own caller as the payer.
        if (!isPool[msg.sender]) revert UnknownPool(msg.sender);
        address payer = abi.decode(data, (address));
        IERC20(token).safeTransferFrom(payer, msg.sender, amount);
    }
}
