// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPoolPayer} from "./IPoolPayer.sol";
import {Oracle} from "./Oracle.sol";
import {Ticks} from "./Ticks.sol";

/// @title A constant-product pool of two tokens
/// @notice Fees are kept beside the reserves and belong to the holders of shares. The pool records
/// its price over time, and volume, fees and time for each range of prices.
contract Pool is Ownable {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;
    using Oracle for Oracle.Observation[1024];

    /// @dev One slot: all that a trade always changes beside the reserves.
    struct Market {
        int24 tick;
        uint16 newest;
        uint16 cardinality;
        uint32 updatedAt;
        uint24 feePips;
        uint8 protocolShare;
        bool entered;
        uint128 shares;
    }

    /// @dev One slot.
    struct Pair {
        uint128 amount0;
        uint128 amount1;
    }

    /// @dev A range of prices that is `BAND_WIDTH` ticks wide; three slots.
    struct Band {
        uint96 volume0;
        uint96 volume1;
        uint64 secondsInside;
        uint256 growth0X128;
        uint256 growth1X128;
    }

    /// @dev What one holder owns.
    struct Position {
        uint128 shares;
        uint256 growth0X128;
        uint256 growth1X128;
        Pair owed;
    }

    /// @dev What a trade comes to.
    struct Trade {
        uint256 amountOut;
        uint256 fee;
        uint256 protocolFee;
    }

    int24 public constant BAND_WIDTH = 60;
    uint256 private constant PIPS = 1_000_000;
    uint256 private constant LOCKED_SHARES = 1_000;
    uint24 private constant MAX_FEE_PIPS = 100_000;

    IERC20 public token0;
    IERC20 public token1;
    Market public market;
    Pair public reserves;
    Pair public protocolFees;
    uint256 public growth0X128;
    uint256 public growth1X128;
    mapping(int24 band => Band) public bands;
    mapping(int16 word => uint256) public visitedBands;
    mapping(address holder => Position) public positions;
    Oracle.Observation[1024] public observations;

    error Entered();
    error NoAmount();
    error NoShares();
    error TooLittleOut(uint256 amountOut);
    error Unpaid(address token);
    error WrongSettings();

    event Deposit(address indexed holder, uint256 amount0, uint256 amount1, uint256 shares);
    event Withdrawal(address indexed holder, uint256 amount0, uint256 amount1, uint256 shares);
    event Collect(address indexed holder, address recipient, uint256 amount0, uint256 amount1);
    event Swap(
        address indexed caller,
        address indexed recipient,
        int256 amount0,
        int256 amount1,
        uint128 shares,
        int24 tick
    );

    constructor(IERC20 token0_, IERC20 token1_, uint24 feePips, address owner_) Ownable(owner_) {
        if (address(token0_) >= address(token1_) || feePips > MAX_FEE_PIPS) revert WrongSettings();
        token0 = token0_;
        token1 = token1_;
        market.feePips = feePips;
        market.cardinality = 1;
        market.updatedAt = uint32(block.timestamp);
        observations[0].timestamp = uint32(block.timestamp);
        observations[0].written = true;
    }

    /// @notice Sells exactly `amountIn`. The caller is asked for it through `IPoolPayer`.
    /// @param recipient Who gets what is bought.
    /// @param zeroForOne Whether token 0 is sold for token 1.
    /// @param minimumOut The least that `recipient` must get.
    /// @param data Handed to the caller's callback, unchanged.
    function swap(
        address recipient,
        bool zeroForOne,
        uint256 amountIn,
        uint256 minimumOut,
        bytes calldata data
    ) external returns (uint256) {
        Market memory now_ = _enter();
        Pair memory held = reserves;
        Trade memory trade = _trade(now_, held, zeroForOne, amountIn);
        if (trade.amountOut < minimumOut) revert TooLittleOut(trade.amountOut);

        uint256 elapsed = _observe(now_);
        uint256 growthX128 = _accrue(now_, zeroForOne, trade);
        _record(now_.tick, zeroForOne, amountIn, growthX128, elapsed);
        _move(held, zeroForOne, amountIn - trade.fee, trade.amountOut);
        now_.tick = _visit(now_.tick, held);

        _settle(recipient, zeroForOne, amountIn, trade.amountOut, data);
        _report(recipient, zeroForOne, amountIn, trade.amountOut, now_);
        _leave(now_);
        return trade.amountOut;
    }

    /// @notice Adds both tokens and gives shares; what does not fit the present price stays out.
    function deposit(uint256 limit0, uint256 limit1, address holder)
        external
        returns (uint256 shares)
    {
        Market memory now_ = _enter();
        _observe(now_);
        Pair memory held = reserves;
        uint256 amount0 = limit0;
        uint256 amount1 = limit1;
        if (now_.shares == 0) {
            shares = Math.sqrt(limit0 * limit1);
            if (shares <= LOCKED_SHARES) revert NoShares();
            // Locked for ever, so that a share cannot be made arbitrarily dear.
            shares -= LOCKED_SHARES;
            now_.shares = LOCKED_SHARES.toUint128();
        } else {
            shares = Math.min(
                Math.mulDiv(limit0, now_.shares, held.amount0),
                Math.mulDiv(limit1, now_.shares, held.amount1)
            );
            amount0 = Math.mulDiv(shares, held.amount0, now_.shares, Math.Rounding.Ceil);
            amount1 = Math.mulDiv(shares, held.amount1, now_.shares, Math.Rounding.Ceil);
        }
        if (shares == 0) revert NoShares();
        _credit(holder);
        positions[holder].shares += shares.toUint128();
        now_.shares += shares.toUint128();
        held.amount0 += amount0.toUint128();
        held.amount1 += amount1.toUint128();
        reserves = held;
        now_.tick = _visit(now_.tick, held);
        token0.safeTransferFrom(msg.sender, address(this), amount0);
        token1.safeTransferFrom(msg.sender, address(this), amount1);
        emit Deposit(holder, amount0, amount1, shares);
        _leave(now_);
    }

    /// @notice Takes the caller's shares back; the amounts become collectable.
    function withdraw(uint128 shares) external returns (uint256 amount0, uint256 amount1) {
        Market memory now_ = _enter();
        if (shares == 0) revert NoShares();
        _observe(now_);
        _credit(msg.sender);
        Pair memory held = reserves;
        amount0 = Math.mulDiv(shares, held.amount0, now_.shares);
        amount1 = Math.mulDiv(shares, held.amount1, now_.shares);
        Position storage position = positions[msg.sender];
        position.shares -= shares;
        position.owed.amount0 += amount0.toUint128();
        position.owed.amount1 += amount1.toUint128();
        now_.shares -= shares;
        held.amount0 -= amount0.toUint128();
        held.amount1 -= amount1.toUint128();
        reserves = held;
        emit Withdrawal(msg.sender, amount0, amount1, shares);
        _leave(now_);
    }

    /// @notice Pays out what withdrawals and fees have left to the caller.
    function collect(address recipient) external returns (uint256 amount0, uint256 amount1) {
        Market memory now_ = _enter();
        _credit(msg.sender);
        Position storage position = positions[msg.sender];
        (amount0, amount1) = _payOut(position.owed, recipient);
        emit Collect(msg.sender, recipient, amount0, amount1);
        _leave(now_);
    }

    /// @notice Pays out the owner's part of the fees.
    function collectProtocolFees(address recipient)
        external
        onlyOwner
        returns (uint256 amount0, uint256 amount1)
    {
        Market memory now_ = _enter();
        (amount0, amount1) = _payOut(protocolFees, recipient);
        emit Collect(msg.sender, recipient, amount0, amount1);
        _leave(now_);
    }

    /// @notice Sets the owner's part of the fees to one in `share`; none for zero.
    function setProtocolShare(uint8 share) external onlyOwner {
        Market memory now_ = _enter();
        now_.protocolShare = share;
        _leave(now_);
    }

    /// @notice Gives the ring of observations more places, up to 1,024.
    function growObservations(uint16 cardinality) external {
        Market memory now_ = _enter();
        if (cardinality <= now_.cardinality || cardinality > observations.length) {
            revert WrongSettings();
        }
        // The places are paid for here, so that trades do not meet empty slots.
        for (uint256 place = now_.cardinality; place < cardinality; ++place) {
            observations[place].timestamp = 1;
        }
        now_.cardinality = cardinality;
        _leave(now_);
    }

    /// @notice The mean tick over the last `secondsAgo` seconds, rounded towards zero.
    function meanTick(uint32 secondsAgo) external view returns (int24) {
        if (secondsAgo == 0) return market.tick;
        Market memory now_ = market;
        int56 start = _observation(now_, secondsAgo).tickSeconds;
        int56 end = _observation(now_, 0).tickSeconds;
        return int24((end - start) / int56(uint56(secondsAgo)));
    }

    /// @notice What `amountIn` would buy at the present price.
    function quote(bool zeroForOne, uint256 amountIn) external view returns (uint256) {
        return _trade(market, reserves, zeroForOne, amountIn).amountOut;
    }

    function _enter() private returns (Market memory now_) {
        now_ = market;
        if (now_.entered) revert Entered();
        market.entered = true;
    }

    function _leave(Market memory now_) private {
        now_.entered = false;
        market = now_;
    }

    function _trade(Market memory now_, Pair memory held, bool zeroForOne, uint256 amountIn)
        private
        pure
        returns (Trade memory trade)
    {
        if (amountIn == 0) revert NoAmount();
        if (now_.shares == 0) revert NoShares();
        trade.fee = Math.mulDiv(amountIn, now_.feePips, PIPS, Math.Rounding.Ceil);
        if (now_.protocolShare != 0) trade.protocolFee = trade.fee / now_.protocolShare;
        (uint256 reserveIn, uint256 reserveOut) =
            zeroForOne ? (held.amount0, held.amount1) : (held.amount1, held.amount0);
        uint256 net = amountIn - trade.fee;
        trade.amountOut = Math.mulDiv(net, reserveOut, reserveIn + net);
    }

    /// @dev Adds to the sums over time and returns the seconds since they were last added to.
    function _observe(Market memory now_) private returns (uint256 elapsed) {
        unchecked {
            elapsed = uint32(block.timestamp) - now_.updatedAt;
        }
        now_.newest = observations.write(now_.newest, now_.cardinality, now_.tick, now_.shares);
        now_.updatedAt = uint32(block.timestamp);
    }

    /// @dev Divides a fee between the owner and the shares; returns the growth per share.
    function _accrue(Market memory now_, bool zeroForOne, Trade memory trade)
        private
        returns (uint256 growthX128)
    {
        growthX128 = Math.mulDiv(trade.fee - trade.protocolFee, 1 << 128, now_.shares);
        unchecked {
            // The sums may wrap: only their differences mean anything.
            if (zeroForOne) growth0X128 += growthX128;
            else growth1X128 += growthX128;
        }
        if (trade.protocolFee == 0) return growthX128;
        if (zeroForOne) protocolFees.amount0 += trade.protocolFee.toUint128();
        else protocolFees.amount1 += trade.protocolFee.toUint128();
    }

    /// @dev Adds a trade to the range of prices in which it began.
    function _record(
        int24 tick,
        bool zeroForOne,
        uint256 amountIn,
        uint256 growthX128,
        uint256 elapsed
    ) private {
        Band storage band = bands[_bandOf(tick)];
        unchecked {
            if (elapsed != 0) band.secondsInside += uint64(elapsed);
            if (zeroForOne) {
                band.volume0 += uint96(amountIn);
                band.growth0X128 += growthX128;
            } else {
                band.volume1 += uint96(amountIn);
                band.growth1X128 += growthX128;
            }
        }
    }

    function _move(Pair memory held, bool zeroForOne, uint256 amountIn, uint256 amountOut) private {
        if (zeroForOne) {
            held.amount0 += amountIn.toUint128();
            held.amount1 -= amountOut.toUint128();
        } else {
            held.amount1 += amountIn.toUint128();
            held.amount0 -= amountOut.toUint128();
        }
        reserves = held;
    }

    /// @dev The tick after a change of the reserves; marks a range that it enters as visited.
    function _visit(int24 before, Pair memory held) private returns (int24 tick) {
        tick = Ticks.ofRatio(held.amount0, held.amount1);
        int24 band = _bandOf(tick);
        if (band == _bandOf(before)) return tick;
        uint256 mask = 1 << uint8(uint24(band));
        uint256 word = visitedBands[int16(band >> 8)];
        if (word & mask == 0) visitedBands[int16(band >> 8)] = word | mask;
    }

    function _bandOf(int24 tick) private pure returns (int24 band) {
        band = tick / BAND_WIDTH;
        if (tick < 0 && tick % BAND_WIDTH != 0) --band;
    }

    function _settle(
        address recipient,
        bool zeroForOne,
        uint256 amountIn,
        uint256 amountOut,
        bytes calldata data
    ) private {
        (IERC20 bought, IERC20 sold) = zeroForOne ? (token1, token0) : (token0, token1);
        bought.safeTransfer(recipient, amountOut);
        uint256 before = sold.balanceOf(address(this));
        IPoolPayer(msg.sender).payPool(address(sold), amountIn, data);
        if (sold.balanceOf(address(this)) < before + amountIn) revert Unpaid(address(sold));
    }

    function _report(
        address recipient,
        bool zeroForOne,
        uint256 amountIn,
        uint256 amountOut,
        Market memory now_
    ) private {
        (int256 amount0, int256 amount1) = zeroForOne
            ? (amountIn.toInt256(), -amountOut.toInt256())
            : (-amountOut.toInt256(), amountIn.toInt256());
        emit Swap(msg.sender, recipient, amount0, amount1, now_.shares, now_.tick);
    }

    /// @dev Brings what a holder is owed up to date.
    function _credit(address holder) private {
        Position storage position = positions[holder];
        uint256 since0;
        uint256 since1;
        unchecked {
            since0 = growth0X128 - position.growth0X128;
            since1 = growth1X128 - position.growth1X128;
        }
        position.owed.amount0 += Math.mulDiv(position.shares, since0, 1 << 128).toUint128();
        position.owed.amount1 += Math.mulDiv(position.shares, since1, 1 << 128).toUint128();
        position.growth0X128 = growth0X128;
        position.growth1X128 = growth1X128;
    }

    function _payOut(Pair storage owed, address recipient)
        private
        returns (uint256 amount0, uint256 amount1)
    {
        (amount0, amount1) = (owed.amount0, owed.amount1);
        owed.amount0 = 0;
        owed.amount1 = 0;
        token0.safeTransfer(recipient, amount0);
        token1.safeTransfer(recipient, amount1);
    }

    function _observation(Market memory now_, uint32 secondsAgo)
        private
        view
        returns (Oracle.Observation memory)
    {
        return observations.sumsAgo(
            now_.newest, now_.cardinality, now_.tick, now_.shares, secondsAgo
        );
    }
}
