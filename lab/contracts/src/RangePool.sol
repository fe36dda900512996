// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPoolPayer} from "./IPoolPayer.sol";
import {Oracle} from "./Oracle.sol";
import {Prices} from "./Prices.sol";

/// @title A pool of two tokens with concentrated liquidity
/// @notice Liquidity is offered in ranges of prices. A trade goes from one boundary of ranges to
/// the next; at each of them liquidity joins or leaves.
contract RangePool is Ownable {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;
    using SafeCast for int256;
    using Oracle for Oracle.Observation[1024];

    /// @dev One slot: all that a trade always changes.
    struct Market {
        uint160 root;
        int24 tick;
        uint16 newest;
        uint16 cardinality;
        uint8 protocolShare;
        bool entered;
    }

    /// @dev One slot.
    struct Pair {
        uint128 amount0;
        uint128 amount1;
    }

    /// @dev A boundary of ranges; four slots. `beyond` is what has happened on its other side, as
    /// seen from the present price.
    struct Boundary {
        uint128 gross;
        int128 net;
        uint256 beyond0X128;
        uint256 beyond1X128;
        uint64 secondsBeyond;
        uint160 secondsPerShareBeyondX128;
    }

    /// @dev What one holder offers in one range.
    struct Position {
        uint128 liquidity;
        uint256 inside0X128;
        uint256 inside1X128;
        Pair owed;
    }

    /// @dev A trade in progress; lives in memory.
    struct Trade {
        uint256 root;
        int24 tick;
        uint128 liquidity;
        uint256 remaining;
        uint256 amountOut;
        uint256 growthX128;
        uint256 protocolFee;
        bool observed;
        uint160 secondsPerShareX128;
    }

    int24 public constant SPACING = 60;
    uint256 private constant FEE_PIPS = 3_000;
    uint256 private constant FLASH_PIPS = 500;
    uint256 private constant PIPS = 1_000_000;

    IERC20 public token0;
    IERC20 public token1;
    Market public market;
    uint128 public liquidity;
    uint256 public growth0X128;
    uint256 public growth1X128;
    Pair public protocolFees;
    mapping(int24 tick => Boundary) public boundaries;
    mapping(int16 word => uint256) public marks;
    mapping(bytes32 key => Position) public positions;
    Oracle.Observation[1024] public observations;

    error Entered();
    error NoAmount();
    error TooLittleOut(uint256 amountOut);
    error Unpaid(address token);
    error WrongRange(int24 low, int24 high);
    error WrongSettings();
    error Started();

    event Start(uint160 root, int24 tick);
    event Deposit(
        address indexed holder,
        int24 indexed low,
        int24 indexed high,
        uint128 liquidity,
        uint256 amount0,
        uint256 amount1
    );
    event Withdrawal(
        address indexed holder,
        int24 indexed low,
        int24 indexed high,
        uint128 liquidity,
        uint256 amount0,
        uint256 amount1
    );
    event Collect(address indexed holder, address recipient, uint256 amount0, uint256 amount1);
    event Flash(address indexed caller, address recipient, uint256 amount0, uint256 amount1);
    event Swap(
        address indexed caller,
        address indexed recipient,
        int256 amount0,
        int256 amount1,
        uint160 root,
        uint128 liquidity,
        int24 tick
    );

    constructor(IERC20 token0_, IERC20 token1_, address owner_) Ownable(owner_) {
        if (address(token0_) >= address(token1_)) revert WrongSettings();
        token0 = token0_;
        token1 = token1_;
    }

    /// @notice Sets the first price.
    function start(uint160 root) external {
        if (market.root != 0) revert Started();
        market.root = root;
        market.tick = Prices.tickOf(root);
        market.cardinality = 1;
        observations[0].timestamp = uint32(block.timestamp);
        observations[0].written = true;
        emit Start(root, market.tick);
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
        if (amountIn == 0) revert NoAmount();
        Market memory now_ = _enter();
        Trade memory trade = _begin(now_, zeroForOne, amountIn);
        uint128 before = trade.liquidity;
        while (trade.remaining != 0) {
            int24 boundary = _advance(now_, trade, zeroForOne);
            if (boundary != type(int24).max) _cross(now_, trade, zeroForOne, boundary);
        }
        if (trade.amountOut < minimumOut) revert TooLittleOut(trade.amountOut);
        if (trade.tick != now_.tick) {
            now_.newest =
                observations.write(now_.newest, now_.cardinality, now_.tick, before);
            now_.tick = trade.tick;
        }
        now_.root = trade.root.toUint160();
        if (trade.liquidity != before) liquidity = trade.liquidity;
        _accrue(trade, zeroForOne);
        _settle(recipient, zeroForOne, amountIn, trade.amountOut, data);
        _report(recipient, zeroForOne, amountIn, trade);
        _leave(now_);
        return trade.amountOut;
    }

    /// @notice Offers liquidity between two boundaries; the caller pays through `IPoolPayer`.
    function deposit(
        address holder,
        int24 low,
        int24 high,
        uint128 amount,
        bytes calldata data
    ) external returns (uint256 amount0, uint256 amount1) {
        if (amount == 0) revert NoAmount();
        Market memory now_ = _enter();
        _change(now_, holder, low, high, int256(uint256(amount)).toInt128());
        (amount0, amount1) = _worth(now_, low, high, amount, Math.Rounding.Ceil);
        _ask(token0, amount0, data);
        _ask(token1, amount1, data);
        emit Deposit(holder, low, high, amount, amount0, amount1);
        _leave(now_);
    }

    /// @notice Takes liquidity of the caller back; the amounts become collectable. With an amount
    /// of zero only fees do.
    function withdraw(int24 low, int24 high, uint128 amount)
        external
        returns (uint256 amount0, uint256 amount1)
    {
        Market memory now_ = _enter();
        Position storage position =
            _change(now_, msg.sender, low, high, -int256(uint256(amount)).toInt128());
        (amount0, amount1) = _worth(now_, low, high, amount, Math.Rounding.Floor);
        position.owed.amount0 += amount0.toUint128();
        position.owed.amount1 += amount1.toUint128();
        emit Withdrawal(msg.sender, low, high, amount, amount0, amount1);
        _leave(now_);
    }

    /// @notice Pays out what withdrawals and fees have left to the caller.
    function collect(address recipient, int24 low, int24 high)
        external
        returns (uint256 amount0, uint256 amount1)
    {
        Market memory now_ = _enter();
        Position storage position = positions[keyOf(msg.sender, low, high)];
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

    /// @notice Lends both tokens for the time of a callback, against a fee.
    function flash(address recipient, uint256 amount0, uint256 amount1, bytes calldata data)
        external
    {
        Market memory now_ = _enter();
        if (liquidity == 0) revert NoAmount();
        uint256 fee0 = Math.mulDiv(amount0, FLASH_PIPS, PIPS, Math.Rounding.Ceil);
        uint256 fee1 = Math.mulDiv(amount1, FLASH_PIPS, PIPS, Math.Rounding.Ceil);
        if (amount0 != 0) token0.safeTransfer(recipient, amount0);
        if (amount1 != 0) token1.safeTransfer(recipient, amount1);
        _ask(token0, amount0 + fee0, data);
        _ask(token1, amount1 + fee1, data);
        unchecked {
            growth0X128 += Math.mulDiv(fee0, 1 << 128, liquidity);
            growth1X128 += Math.mulDiv(fee1, 1 << 128, liquidity);
        }
        emit Flash(msg.sender, recipient, amount0, amount1);
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
        int56 first = _observation(now_, secondsAgo).tickSeconds;
        int56 last = _observation(now_, 0).tickSeconds;
        return int24((last - first) / int56(uint56(secondsAgo)));
    }

    /// @notice What `amountIn` would buy at the present price.
    function quote(bool zeroForOne, uint256 amountIn) external view returns (uint256) {
        Market memory now_ = market;
        Trade memory trade = _begin(now_, zeroForOne, amountIn);
        while (trade.remaining != 0) {
            int24 boundary = _advance(now_, trade, zeroForOne);
            if (boundary != type(int24).max) _join(trade, zeroForOne, boundary);
        }
        return trade.amountOut;
    }

    /// @notice Fees per unit of liquidity that a range has earned so far.
    function growthInside(int24 low, int24 high)
        external
        view
        returns (uint256 inside0X128, uint256 inside1X128)
    {
        return _inside(market.tick, low, high);
    }

    /// @notice Where a holder's position in a range is kept.
    function keyOf(address holder, int24 low, int24 high) public pure returns (bytes32) {
        return keccak256(abi.encode(holder, low, high));
    }

    function _enter() private returns (Market memory now_) {
        now_ = market;
        if (now_.entered || now_.root == 0) revert Entered();
        market.entered = true;
    }

    function _leave(Market memory now_) private {
        now_.entered = false;
        market = now_;
    }

    function _begin(Market memory now_, bool zeroForOne, uint256 amountIn)
        private
        view
        returns (Trade memory trade)
    {
        trade.root = now_.root;
        trade.tick = now_.tick;
        trade.liquidity = liquidity;
        trade.remaining = amountIn;
        trade.growthX128 = zeroForOne ? growth0X128 : growth1X128;
    }

    /// @dev Trades up to the next boundary at most. Returns it if it was reached, `max` otherwise.
    function _advance(Market memory now_, Trade memory trade, bool zeroForOne)
        private
        view
        returns (int24 boundary)
    {
        (int24 next, bool marked) = _nextBoundary(trade.tick, zeroForOne);
        uint256 target = Prices.rootAt(next);
        Prices.Step memory step =
            Prices.step(trade.root, target, trade.liquidity, trade.remaining, FEE_PIPS);
        trade.remaining -= step.amountIn + step.fee;
        trade.amountOut += step.amountOut;
        uint256 fee = step.fee;
        if (now_.protocolShare != 0) {
            uint256 share = fee / now_.protocolShare;
            trade.protocolFee += share;
            fee -= share;
        }
        if (trade.liquidity != 0) {
            unchecked {
                // The sums may wrap: only their differences mean anything.
                trade.growthX128 += Math.mulDiv(fee, 1 << 128, trade.liquidity);
            }
        }
        boundary = type(int24).max;
        if (step.root == target) {
            if (marked) boundary = next;
            trade.tick = zeroForOne ? next - 1 : next;
        } else if (step.root != trade.root) {
            trade.tick = Prices.tickOf(step.root);
        }
        trade.root = step.root;
    }

    /// @dev The next boundary below (or at) a tick, or above it, within one word of marks.
    function _nextBoundary(int24 tick, bool falls) private view returns (int24 next, bool marked) {
        int24 place = _placeOf(tick);
        if (!falls) ++place;
        uint8 bit = uint8(uint24(place));
        uint256 word = marks[int16(place >> 8)];
        if (falls) {
            uint256 below = word & (type(uint256).max >> (255 - bit));
            marked = below != 0;
            int24 back = int24(uint24(bit)) - (marked ? int24(uint24(Math.log2(below))) : int24(0));
            next = (place - back) * SPACING;
        } else {
            uint256 above = word & (type(uint256).max << bit);
            marked = above != 0;
            // The lowest bit alone.
            uint256 lowest = above & (~above + 1);
            int24 ahead = (marked ? int24(uint24(Math.log2(lowest))) : int24(255))
                - int24(uint24(bit));
            next = (place + ahead) * SPACING;
        }
    }

    function _placeOf(int24 tick) private pure returns (int24 place) {
        place = tick / SPACING;
        if (tick < 0 && tick % SPACING != 0) --place;
    }

    /// @dev Goes over a boundary: what has happened on the side left behind becomes its other side.
    function _cross(Market memory now_, Trade memory trade, bool zeroForOne, int24 boundary)
        private
    {
        if (!trade.observed) {
            trade.observed = true;
            trade.secondsPerShareX128 = _observation(now_, 0).secondsPerShareX128;
        }
        Boundary storage edge = boundaries[boundary];
        unchecked {
            edge.beyond0X128 = (zeroForOne ? trade.growthX128 : growth0X128) - edge.beyond0X128;
            edge.beyond1X128 = (zeroForOne ? growth1X128 : trade.growthX128) - edge.beyond1X128;
            edge.secondsBeyond = uint64(block.timestamp) - edge.secondsBeyond;
            edge.secondsPerShareBeyondX128 =
                trade.secondsPerShareX128 - edge.secondsPerShareBeyondX128;
        }
        _join(trade, zeroForOne, boundary);
    }

    function _join(Trade memory trade, bool zeroForOne, int24 boundary) private view {
        int128 net = boundaries[boundary].net;
        trade.liquidity = _plus(trade.liquidity, zeroForOne ? -net : net);
    }

    function _plus(uint128 one, int128 change) private pure returns (uint128) {
        return uint256(int256(uint256(one)) + change).toUint128();
    }

    function _accrue(Trade memory trade, bool zeroForOne) private {
        if (zeroForOne) growth0X128 = trade.growthX128;
        else growth1X128 = trade.growthX128;
        if (trade.protocolFee == 0) return;
        if (zeroForOne) protocolFees.amount0 += trade.protocolFee.toUint128();
        else protocolFees.amount1 += trade.protocolFee.toUint128();
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
        _ask(sold, amountIn, data);
    }

    /// @dev Asks the caller for a payment and looks whether it came.
    function _ask(IERC20 token, uint256 amount, bytes calldata data) private {
        if (amount == 0) return;
        uint256 before = token.balanceOf(address(this));
        IPoolPayer(msg.sender).payPool(address(token), amount, data);
        if (token.balanceOf(address(this)) < before + amount) revert Unpaid(address(token));
    }

    function _report(address recipient, bool zeroForOne, uint256 amountIn, Trade memory trade)
        private
    {
        (int256 amount0, int256 amount1) = zeroForOne
            ? (amountIn.toInt256(), -trade.amountOut.toInt256())
            : (-trade.amountOut.toInt256(), amountIn.toInt256());
        emit Swap(
            msg.sender,
            recipient,
            amount0,
            amount1,
            trade.root.toUint160(),
            trade.liquidity,
            trade.tick
        );
    }

    /// @dev Changes a holder's liquidity in a range and brings what he is owed up to date.
    function _change(Market memory now_, address holder, int24 low, int24 high, int128 change)
        private
        returns (Position storage position)
    {
        if (low >= high || low % SPACING != 0 || high % SPACING != 0) revert WrongRange(low, high);
        if (change != 0) {
            _bound(now_, low, change, change);
            _bound(now_, high, change, -change);
        }
        (uint256 inside0X128, uint256 inside1X128) = _inside(now_.tick, low, high);
        position = positions[keyOf(holder, low, high)];
        uint256 earned0;
        uint256 earned1;
        unchecked {
            earned0 = inside0X128 - position.inside0X128;
            earned1 = inside1X128 - position.inside1X128;
        }
        position.owed.amount0 += Math.mulDiv(position.liquidity, earned0, 1 << 128).toUint128();
        position.owed.amount1 += Math.mulDiv(position.liquidity, earned1, 1 << 128).toUint128();
        position.liquidity = _plus(position.liquidity, change);
        position.inside0X128 = inside0X128;
        position.inside1X128 = inside1X128;
        if (low <= now_.tick && now_.tick < high) {
            now_.newest =
                observations.write(now_.newest, now_.cardinality, now_.tick, liquidity);
            liquidity = _plus(liquidity, change);
        }
    }

    /// @dev Changes what joins at a boundary; the first liquidity there marks it, the last unmarks.
    function _bound(Market memory now_, int24 tick, int128 change, int128 net) private {
        Boundary storage edge = boundaries[tick];
        uint128 before = edge.gross;
        edge.gross = _plus(before, change);
        edge.net += net;
        if (before != 0 && edge.gross != 0) return;
        if (before == 0 && tick <= now_.tick) {
            // By agreement all that has happened so far happened below.
            edge.beyond0X128 = growth0X128;
            edge.beyond1X128 = growth1X128;
            edge.secondsBeyond = uint64(block.timestamp);
            edge.secondsPerShareBeyondX128 = _observation(now_, 0).secondsPerShareX128;
        }
        int24 place = _placeOf(tick);
        marks[int16(place >> 8)] ^= 1 << uint8(uint24(place));
    }

    function _inside(int24 tick, int24 low, int24 high)
        private
        view
        returns (uint256 inside0X128, uint256 inside1X128)
    {
        Boundary storage lower = boundaries[low];
        Boundary storage upper = boundaries[high];
        unchecked {
            bool above = tick >= low;
            bool below = tick < high;
            uint256 under0 = above ? lower.beyond0X128 : growth0X128 - lower.beyond0X128;
            uint256 under1 = above ? lower.beyond1X128 : growth1X128 - lower.beyond1X128;
            uint256 over0 = below ? upper.beyond0X128 : growth0X128 - upper.beyond0X128;
            uint256 over1 = below ? upper.beyond1X128 : growth1X128 - upper.beyond1X128;
            inside0X128 = growth0X128 - under0 - over0;
            inside1X128 = growth1X128 - under1 - over1;
        }
    }

    /// @dev What liquidity in a range is worth at the present price.
    function _worth(
        Market memory now_,
        int24 low,
        int24 high,
        uint128 amount,
        Math.Rounding rounding
    ) private pure returns (uint256 amount0, uint256 amount1) {
        (uint256 bottom, uint256 top) = (Prices.rootAt(low), Prices.rootAt(high));
        uint256 root = Math.min(Math.max(now_.root, bottom), top);
        if (root < top) amount0 = Prices.amount0(root, top, amount, rounding);
        if (bottom < root) amount1 = Prices.amount1(bottom, root, amount, rounding);
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
            now_.newest, now_.cardinality, now_.tick, liquidity, secondsAgo
        );
    }
}
