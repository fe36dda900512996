// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Markets in which credits are supplied and borrowed
/// @notice Interest follows from how much of a market is lent. Credits exist in here only.
contract Lending {
    /// @dev Two slots: what every action in a market reads, and changes.
    struct Market {
        uint128 supplied;
        uint128 borrowed;
        uint128 indexX64;
        uint64 updatedAt;
    }

    /// @dev Two slots.
    struct Account {
        uint128 supplied;
        uint128 borrowed;
        uint128 indexX64;
    }

    uint256 private constant ONE = 1 << 64;
    uint256 private constant YEAR = 365 days;

    mapping(uint256 id => Market) public markets;
    mapping(uint256 id => mapping(address holder => Account)) public accounts;

    error TooMuch();

    event Changed(uint256 indexed market, address indexed holder, uint128 supplied, uint128 borrowed);

    /// @notice Supplies `amount`, borrows `loan` of at most half of what is supplied, and pays
    /// `back`, at most the debt.
    function act(uint256 id, uint128 amount, uint128 loan, uint128 back) external {
        Market memory market = _accrued(markets[id]);
        Account memory account = accounts[id][msg.sender];
        if (account.borrowed != 0) {
            uint256 debt = uint256(account.borrowed) * market.indexX64 / account.indexX64;
            account.borrowed = uint128(debt);
        }
        account.indexX64 = market.indexX64;
        uint128 paid = back < account.borrowed ? back : account.borrowed;
        account.supplied += amount;
        account.borrowed = account.borrowed + loan - paid;
        if (account.borrowed > account.supplied / 2) revert TooMuch();
        market.supplied += amount;
        market.borrowed += loan;
        market.borrowed -= paid < market.borrowed ? paid : market.borrowed;
        markets[id] = market;
        accounts[id][msg.sender] = account;
        emit Changed(id, msg.sender, account.supplied, account.borrowed);
    }

    function _accrued(Market memory market) private view returns (Market memory) {
        if (market.indexX64 == 0) market.indexX64 = uint128(ONE);
        uint256 elapsed = block.timestamp - market.updatedAt;
        if (elapsed != 0 && market.supplied != 0) {
            uint256 share = uint256(market.borrowed) * ONE / market.supplied;
            uint256 rate = (ONE / 50 + share / 5) * elapsed / YEAR;
            market.indexX64 = uint128(market.indexX64 + market.indexX64 * rate / ONE);
        }
        market.updatedAt = uint64(block.timestamp);
        return market;
    }
}
