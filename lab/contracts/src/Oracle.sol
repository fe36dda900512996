// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A ring of price observations
/// @notice Each observation holds sums over time, so that a mean over any stretch is a difference.
library Oracle {
    /// @dev One slot.
    struct Observation {
        uint32 timestamp;
        int56 tickSeconds;
        uint160 secondsPerShareX128;
        bool written;
    }

    error TooOld();

    /// @notice Writes the observation of the present second, unless it has been written.
    /// @param index The newest observation.
    /// @param cardinality How many places the ring has.
    /// @param tick The tick since the newest observation.
    /// @param shares The pool's shares since the newest observation.
    /// @return The newest observation's place afterwards.
    function write(
        Observation[1024] storage ring,
        uint16 index,
        uint16 cardinality,
        int24 tick,
        uint128 shares
    ) internal returns (uint16) {
        Observation memory last = ring[index];
        uint32 time = uint32(block.timestamp);
        if (last.timestamp == time) return index;
        uint16 next = uint16((uint256(index) + 1) % cardinality);
        ring[next] = _advance(last, time, tick, shares);
        return next;
    }

    /// @notice The sums as they stood `secondsAgo` before now, interpolated between observations.
    function sumsAgo(
        Observation[1024] storage ring,
        uint16 index,
        uint16 cardinality,
        int24 tick,
        uint128 shares,
        uint32 secondsAgo
    ) internal view returns (Observation memory) {
        uint32 time = uint32(block.timestamp) - secondsAgo;
        Observation memory later = ring[index];
        if (later.timestamp <= time) return _advance(later, time, tick, shares);
        for (uint256 step = 1; step < cardinality; ++step) {
            uint256 place = (uint256(index) + cardinality - step) % cardinality;
            Observation memory earlier = ring[place];
            if (!earlier.written || earlier.timestamp >= later.timestamp) break;
            if (earlier.timestamp <= time) return _between(earlier, later, time);
            later = earlier;
        }
        revert TooOld();
    }

    /// @dev What `last` becomes when `tick` and `shares` have held until `time`.
    function _advance(Observation memory last, uint32 time, int24 tick, uint128 shares)
        private
        pure
        returns (Observation memory)
    {
        unchecked {
            // The sums may wrap: only their differences mean anything.
            uint32 elapsed = time - last.timestamp;
            uint256 divisor = shares == 0 ? 1 : shares;
            return Observation({
                timestamp: time,
                tickSeconds: last.tickSeconds + int56(tick) * int56(uint56(elapsed)),
                secondsPerShareX128: last.secondsPerShareX128
                    + uint160((uint256(elapsed) << 128) / divisor),
                written: true
            });
        }
    }

    /// @dev A straight line between two observations.
    function _between(Observation memory earlier, Observation memory later, uint32 time)
        private
        pure
        returns (Observation memory)
    {
        unchecked {
            uint32 whole = later.timestamp - earlier.timestamp;
            uint32 part = time - earlier.timestamp;
            int56 ticks = later.tickSeconds - earlier.tickSeconds;
            uint256 weight = later.secondsPerShareX128 - earlier.secondsPerShareX128;
            return Observation({
                timestamp: time,
                tickSeconds: earlier.tickSeconds
                    + int56((int256(ticks) * int256(uint256(part))) / int256(uint256(whole))),
                secondsPerShareX128: earlier.secondsPerShareX128 + uint160((weight * part) / whole),
                written: true
            });
        }
    }
}
