// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The caller of `Pool.swap` pays through this callback
interface IPoolPayer {
    /// @notice Called after the output has been sent; the pool checks its balance afterwards.
    /// @param token What the pool wants to be paid in.
    /// @param amount How much of it, in its smallest unit.
    /// @param data What the caller gave to `swap`, unchanged.
    function payPool(address token, uint256 amount, bytes calldata data) external;
}
