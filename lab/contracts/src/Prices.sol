// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Ticks} from "./Ticks.sol";

/// @title Square roots of prices
/// @notice A price is that of token 0 in token 1. Its root is kept in 1/2^96; at tick `t` it is
/// 1.0001^(t/2).
library Prices {
    using SafeCast for uint256;

    int24 internal constant HIGHEST_TICK = 600_000;
    uint256 private constant PIPS = 1_000_000;

    error TickOutOfRange(int24 tick);

    /// @dev What a stretch at constant liquidity comes to.
    struct Step {
        uint256 root;
        uint256 amountIn;
        uint256 amountOut;
        uint256 fee;
    }

    /// @notice The root of the price at `tick`, rounded up.
    function rootAt(int24 tick) internal pure returns (uint160) {
        uint256 size = tick < 0 ? uint256(-int256(tick)) : uint256(int256(tick));
        if (size > uint256(int256(HIGHEST_TICK))) revert TickOutOfRange(tick);
        // The factors are 2^128 / 1.0001^(2^i / 2), rounded to the nearest.
        uint256 root = 1 << 128;
        unchecked {
            if (size & 0x1 != 0) root = (root * 0xfffcb933bd6fad37aa2d162d1a594001) >> 128;
            if (size & 0x2 != 0) root = (root * 0xfff97272373d413259a46990580e213a) >> 128;
            if (size & 0x4 != 0) root = (root * 0xfff2e50f5f656932ef12357cf3c7fdcc) >> 128;
            if (size & 0x8 != 0) root = (root * 0xffe5caca7e10e4e61c3624eaa0941cd0) >> 128;
            if (size & 0x10 != 0) root = (root * 0xffcb9843d60f6159c9db58835c926644) >> 128;
            if (size & 0x20 != 0) root = (root * 0xff973b41fa98c081472e6896dfb254c0) >> 128;
            if (size & 0x40 != 0) root = (root * 0xff2ea16466c96a3843ec78b326b52861) >> 128;
            if (size & 0x80 != 0) root = (root * 0xfe5dee046a99a2a811c461f1969c3053) >> 128;
            if (size & 0x100 != 0) root = (root * 0xfcbe86c7900a88aedcffc83b479aa3a4) >> 128;
            if (size & 0x200 != 0) root = (root * 0xf987a7253ac413176f2b074cf7815e54) >> 128;
            if (size & 0x400 != 0) root = (root * 0xf3392b0822b70005940c7a398e4b70f3) >> 128;
            if (size & 0x800 != 0) root = (root * 0xe7159475a2c29b7443b29c7fa6e889d9) >> 128;
            if (size & 0x1000 != 0) root = (root * 0xd097f3bdfd2022b8845ad8f792aa5825) >> 128;
            if (size & 0x2000 != 0) root = (root * 0xa9f746462d870fdf8a65dc1f90e061e5) >> 128;
            if (size & 0x4000 != 0) root = (root * 0x70d869a156d2a1b890bb3df62baf32f7) >> 128;
            if (size & 0x8000 != 0) root = (root * 0x31be135f97d08fd981231505542fcfa6) >> 128;
            if (size & 0x10000 != 0) root = (root * 0x9aa508b5b7a84e1c677de54f3e99bc9) >> 128;
            if (size & 0x20000 != 0) root = (root * 0x5d6af8dedb81196699c329225ee604) >> 128;
            if (size & 0x40000 != 0) root = (root * 0x2216e584f5fa1ea926041bedfe98) >> 128;
            if (size & 0x80000 != 0) root = (root * 0x48a170391f7dc42444e8fa2) >> 128;
            // The factors are those of falling prices.
            if (tick > 0) root = type(uint256).max / root;
        }
        return ((root >> 32) + (root % (1 << 32) == 0 ? 0 : 1)).toUint160();
    }

    /// @notice The highest tick whose root is not above `root`.
    function tickOf(uint256 root) internal pure returns (int24 tick) {
        // The logarithm may be off by one at the ends of a tick, and is that of the price.
        uint256 price = Math.mulDiv(root, root, 1 << 96);
        tick = Ticks.ofRatio(1 << 96, price) + 1;
        while (rootAt(tick) > root) --tick;
    }

    /// @notice Trades `remaining` of one token from the price `root` towards `target`.
    function step(
        uint256 root,
        uint256 target,
        uint128 liquidity,
        uint256 remaining,
        uint256 feePips
    ) internal pure returns (Step memory made) {
        bool falls = target <= root;
        uint256 net = Math.mulDiv(remaining, PIPS - feePips, PIPS);
        made.amountIn = falls
            ? amount0(target, root, liquidity, Math.Rounding.Ceil)
            : amount1(root, target, liquidity, Math.Rounding.Ceil);
        if (net >= made.amountIn) {
            made.root = target;
            made.fee = Math.mulDiv(made.amountIn, feePips, PIPS - feePips, Math.Rounding.Ceil);
        } else {
            made.root = falls ? _lower(root, liquidity, net) : _higher(root, liquidity, net);
            made.amountIn = falls
                ? amount0(made.root, root, liquidity, Math.Rounding.Ceil)
                : amount1(root, made.root, liquidity, Math.Rounding.Ceil);
            made.fee = remaining - made.amountIn;
        }
        made.amountOut = falls
            ? amount1(made.root, root, liquidity, Math.Rounding.Floor)
            : amount0(root, made.root, liquidity, Math.Rounding.Floor);
    }

    /// @notice How much of token 0 lies between two roots.
    function amount0(uint256 low, uint256 high, uint128 liquidity, Math.Rounding rounding)
        internal
        pure
        returns (uint256)
    {
        uint256 part = Math.mulDiv(uint256(liquidity) << 96, high - low, high, rounding);
        return Math.mulDiv(part, 1, low, rounding);
    }

    /// @notice How much of token 1 lies between two roots.
    function amount1(uint256 low, uint256 high, uint128 liquidity, Math.Rounding rounding)
        internal
        pure
        returns (uint256)
    {
        return Math.mulDiv(liquidity, high - low, 1 << 96, rounding);
    }

    /// @dev The root after `amount` of token 0 came in.
    function _lower(uint256 root, uint128 liquidity, uint256 amount)
        private
        pure
        returns (uint256)
    {
        uint256 weight = uint256(liquidity) << 96;
        return Math.mulDiv(weight, root, weight + amount * root, Math.Rounding.Ceil);
    }

    /// @dev The root after `amount` of token 1 came in.
    function _higher(uint256 root, uint128 liquidity, uint256 amount)
        private
        pure
        returns (uint256)
    {
        return root + Math.mulDiv(amount, 1 << 96, liquidity);
    }
}
