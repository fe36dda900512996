// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Logarithmic prices
/// @notice A tick is the logarithm of a price to the base 1.0001, rounded down.
library Ticks {
    /// @dev 2^64 divided by the binary logarithm of 1.0001.
    uint256 private constant TICKS_PER_OCTAVE_X64 = 127869479499801913173570;
    /// @dev Bits of the logarithm behind the point: one tick is more than 2^-13 of an octave.
    uint256 private constant FRACTION_BITS = 18;

    error EmptySide();

    /// @notice The tick of the price `amount1 / amount0`; both must be above zero.
    function ofRatio(uint256 amount0, uint256 amount1) internal pure returns (int24) {
        if (amount0 == 0 || amount1 == 0) revert EmptySide();
        bool below = amount1 < amount0;
        uint256 octaves = below ? _octavesX64(amount0, amount1) : _octavesX64(amount1, amount0);
        int256 tick = int256((octaves * TICKS_PER_OCTAVE_X64) >> 128);
        // Rounding goes down on both sides of price one.
        return int24(below ? -tick - 1 : tick);
    }

    /// @dev The binary logarithm of `larger / smaller`, both below 2^128, in 1/2^64.
    function _octavesX64(uint256 larger, uint256 smaller) private pure returns (uint256 octaves) {
        uint256 ratioX127 = Math.mulDiv(larger, 1 << 127, smaller);
        uint256 whole = Math.log2(ratioX127) - 127;
        uint256 mantissa = ratioX127 >> whole;
        octaves = whole << 64;
        unchecked {
            for (uint256 bit = 1 << 63; bit >= (1 << (64 - FRACTION_BITS)); bit >>= 1) {
                mantissa = (mantissa * mantissa) >> 127;
                if (mantissa >> 128 != 0) {
                    mantissa >>= 1;
                    octaves |= bit;
                }
            }
        }
    }
}
