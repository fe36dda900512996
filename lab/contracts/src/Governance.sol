// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Votes on proposals, one for each voter
contract Governance {
    /// @dev One slot.
    struct Tally {
        uint80 yes;
        uint80 no;
        uint80 abstained;
    }

    mapping(uint256 proposal => Tally) public tallies;
    mapping(uint256 proposal => mapping(address voter => uint256)) public receipts;

    error VotedBefore();

    event Voted(address indexed voter, uint256 indexed proposal, uint8 choice, uint80 weight);

    /// @notice Votes yes (0), no (1) or abstains (2), with as much weight as the voter's address
    /// has drawn.
    function vote(uint256 proposal, uint8 choice) external {
        if (receipts[proposal][msg.sender] != 0) revert VotedBefore();
        uint80 weight = uint80(1 + uint256(keccak256(abi.encode(msg.sender))) % 1_000_000);
        Tally memory tally = tallies[proposal];
        if (choice == 0) tally.yes += weight;
        else if (choice == 1) tally.no += weight;
        else tally.abstained += weight;
        tallies[proposal] = tally;
        receipts[proposal][msg.sender] = uint256(weight) << 8 | choice | 0x80;
        emit Voted(msg.sender, proposal, choice, weight);
    }
}
