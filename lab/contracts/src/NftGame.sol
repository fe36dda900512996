// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Heroes that belong to the first account that plays them, and fight each other
contract NftGame {
    /// @dev One slot.
    struct Hero {
        address owner;
        uint32 strength;
        uint32 wins;
        uint32 losses;
    }

    mapping(uint256 id => Hero) public heroes;
    mapping(address player => uint256) public scores;

    event Summoned(uint256 indexed id, address indexed owner, uint32 strength);
    event Fought(uint256 indexed winner, uint256 indexed loser);

    /// @notice Lets a hero fight a rival; either is summoned if it was not played yet.
    function fight(uint256 id, uint256 rivalId) external {
        Hero memory hero = _summoned(id);
        Hero memory rival = _summoned(rivalId);
        bytes32 luck = keccak256(abi.encode(block.prevrandao, id, rivalId, hero.wins, rival.wins));
        uint256 sum = uint256(hero.strength) + rival.strength;
        bool won = uint256(luck) % sum < hero.strength;
        (Hero memory winner, Hero memory loser) = won ? (hero, rival) : (rival, hero);
        ++winner.wins;
        ++loser.losses;
        winner.strength += 1 + loser.strength / 16;
        heroes[id] = hero;
        if (rivalId != id) heroes[rivalId] = rival;
        scores[winner.owner] += loser.strength;
        emit Fought(won ? id : rivalId, won ? rivalId : id);
    }

    function _summoned(uint256 id) private returns (Hero memory hero) {
        hero = heroes[id];
        if (hero.owner != address(0)) return hero;
        hero.owner = msg.sender;
        hero.strength = 50 + uint32(uint256(keccak256(abi.encode(id))) % 50);
        emit Summoned(id, msg.sender, hero.strength);
    }
}
