//! `braid-node dev`: a chain for development, with accounts that everyone knows.

use super::{
    interrupt, limits::LimitArgs, open, parse::seconds_from, say, serve::Told, serve::is_archive,
};
use crate::{
    Limits, Mining, Node, NodeConfig, Server,
    accounts::{Accounts, ETHER, MNEMONIC, PATH},
    clock::now,
};
use alloy_eips::{
    eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE},
    eip4788::{BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE},
    eip7002::{WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_PREDEPLOY_CODE},
    eip7251::{CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_CODE},
};
use alloy_genesis::{ChainConfig as GenesisConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, Bytes, U256, address, bytes, utils::Unit};
use braid_chain::{
    ChainConfig, ChainFolder, EmbeddedStore, Head, Keep, StateRoots, StoreError, create, genesis,
    open as open_chain,
};
use braid_terminal::{End, Stop, message};
use clap::Args;
use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

const EXAMPLES: &str = "\
Examples:
  braid-node dev                          a block for each transaction, at http://127.0.0.1:8545
  braid-node dev --block-time 2           a block every two seconds, even without transactions
  braid-node dev --state chain/           the chain is kept, and continues at the next start
  cast send --rpc-url http://127.0.0.1:8545 --unlocked \\
    --from 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266 \\
    0x70997970c51812dc3a010c7d01b50e0d17dc79c8 --value 1ether

Ctrl-C ends it, with code 0.";

/// Gas limit of a block.
const GAS_LIMIT: u64 = 30_000_000;
/// The contract through which tools deploy others at addresses known in advance (CREATE2).
const DEPLOYER: Address = address!("4e59b44847b379578588920ca78fbf26c0b4956c");
static DEPLOYER_CODE: Bytes = bytes!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
);

/// Run a chain for development
///
/// Makes a new chain of the newest fork with ten accounts of 10,000 ether each, prints their keys, and serves
/// JSON-RPC. A block is made as soon as a transaction arrives. Test tools control clock, state and mining with the
/// methods of anvil and Hardhat. Everyone knows the keys: never send anything of value to the accounts.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DevArgs {
    /// Port of the JSON-RPC server; 0 for any free port
    #[arg(long, value_name = "PORT", default_value_t = 8_545)]
    port: u16,
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Make a block at this interval, even without transactions, instead of when a transaction arrives: 2, 2s or 500ms
    #[arg(long, value_name = "SECONDS", value_parser = seconds_from)]
    block_time: Option<Duration>,
    /// Make blocks only when a client asks for one (evm_mine)
    #[arg(long, conflicts_with = "block_time")]
    no_mining: bool,
    /// Keep the chain in this folder, which is created if missing; without it the chain is temporary
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Chain id of a new chain
    #[arg(long, value_name = "ID", default_value_t = 31_337)]
    chain_id: u64,
    /// Response to web3_clientVersion. Hardhat's helpers reject names that do not begin with anvil or hardhat
    #[arg(long, value_name = "NAME", default_value = concat!("anvil/v1.0.0 braid/", env!("CARGO_PKG_VERSION")))]
    client_version: String,
    /// Read the state after every block from an archive, in time that does not grow with its age
    #[arg(long)]
    archive: bool,
    /// Print neither keys nor a line per block
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Limits for one developer's tools, which send many requests at once.
fn dev_limits() -> Limits {
    Limits {
        request_bytes: 16 << 20,
        batch: 1_000,
        connections: 1_024,
        requests_at_once: 64,
        sockets: 256,
        time: Duration::from_secs(60),
        ..Limits::default()
    }
}

/// Runs the chain until Ctrl-C.
pub(super) fn dev(args: &DevArgs) -> Result<End, Stop> {
    // The folder is removed when the guard is dropped, after the node.
    let temporary = args.state.is_none().then(tempfile::tempdir).transpose()?;
    let path = args.state.clone().or(temporary.as_ref().map(|it| it.path().join("chain")));
    let path = path.unwrap_or_default();
    let accounts = Accounts::new();
    create_missing(args, &path, &accounts)?;
    let (mut folder, store) = open(&path, None)?;
    let is_archive = args.archive || is_archive(&store)?;
    let mut node = Node::open(store, config(is_archive)).map_err(message)?;
    node.shared().set_client_version(args.client_version.clone());
    let interrupts = interrupt::listen()?;
    let address = SocketAddr::new(args.host, args.port);
    args.limits.start_log();
    let limits = args.limits.limits(dev_limits());
    let access = args.limits.access(&["*"])?;
    let server = Server::start_with(&access, address, node.shared(), limits).map_err(message)?;
    let url = format!("http://{}", server.address());
    folder.answers_at(&url).map_err(message)?;
    if !args.quiet {
        print_accounts(&accounts)?;
    }
    say(format!("json-rpc: {url}"));
    let mining = match args.block_time {
        Some(interval) => Mining::Every(interval),
        None if args.no_mining => Mining::OnDemand,
        None => Mining::Automatic,
    };
    let mut told = Told::quiet(args.quiet);
    node.mine(mining, &interrupts, &mut told).map_err(message)?;
    Ok(End::Right)
}

/// Returns the configuration of a node that keeps everything, so that clients may return to any
/// block.
fn config(is_archive: bool) -> NodeConfig {
    let mut chain = ChainConfig::default();
    chain.keep = Keep::blocks(u64::MAX);
    chain.keep.archive = is_archive;
    NodeConfig {
        chain,
        history_blocks: u64::MAX,
        history_bytes: 1 << 30,
        // An archive has the older ones.
        state_blocks: if is_archive { NodeConfig::default().state_blocks } else { u64::MAX },
        state_bytes: 1 << 30,
        is_dev: true,
        ..NodeConfig::default()
    }
}

/// Creates the chain in a folder that holds none.
fn create_missing(args: &DevArgs, path: &std::path::Path, accounts: &Accounts) -> Result<(), Stop> {
    let folder = ChainFolder::create(path).map_err(message)?;
    let store = EmbeddedStore::open(&folder.store()).map_err(message)?;
    match open_chain(&store) {
        Err(StoreError::Empty) => {}
        Ok(_) => return Ok(()),
        Err(error) => return Err(message(error)),
    }
    let genesis = genesis(args.chain_id, accounts);
    let header = genesis::header(&genesis);
    let head = Head { number: header.number, hash: header.hash_slow() };
    let batch = genesis::batch(&genesis, head);
    let encoded = genesis::encode(&genesis).map_err(message)?;
    create(&store, &encoded, &batch, StateRoots::Computed).map_err(message)
}

/// Returns a genesis of the newest fork with funds for the accounts. It has the system contracts of
/// all forks, and the one that deploys others at known addresses.
fn genesis(chain_id: u64, accounts: &Accounts) -> Genesis {
    let config = GenesisConfig {
        chain_id,
        terminal_total_difficulty: Some(U256::ZERO),
        shanghai_time: Some(0),
        cancun_time: Some(0),
        prague_time: Some(0),
        osaka_time: Some(0),
        ..GenesisConfig::default()
    };
    let balance = U256::from(ETHER).saturating_mul(Unit::ETHER.wei());
    let funded = GenesisAccount::default().with_balance(balance);
    let funded = accounts.addresses().into_iter().map(|address| (address, funded.clone()));
    let contracts = [
        (HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE.clone()),
        (BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE.clone()),
        (WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_PREDEPLOY_CODE.clone()),
        (CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_CODE.clone()),
        (DEPLOYER, DEPLOYER_CODE.clone()),
    ];
    let contracts = contracts.into_iter().map(|(address, code)| {
        (address, GenesisAccount::default().with_nonce(Some(1)).with_code(Some(code)))
    });
    Genesis {
        config,
        timestamp: now(),
        gas_limit: GAS_LIMIT,
        alloc: funded.chain(contracts).collect(),
        ..Genesis::default()
    }
}

/// Prints the accounts with their keys.
fn print_accounts(accounts: &Accounts) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "accounts with {ETHER} ether each, for development only: everyone knows the keys"
    )?;
    for (index, account) in accounts.iter().enumerate() {
        writeln!(out, "({index}) {}  {}", account.address(), account.secret())?;
    }
    writeln!(out, "mnemonic: {MNEMONIC}\nderivation path: {PATH}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;
    use braid_chain::Rules;
    use revm::primitives::hardfork::SpecId;

    #[test]
    fn the_genesis_is_of_the_newest_fork_and_has_its_contracts() {
        let genesis = genesis(31_337, &Accounts::new());
        genesis::check(&genesis).expect("blocks obey all of it");
        let rules = Rules::new(genesis.config.clone());
        let header = genesis::header(&genesis);
        assert_eq!(rules.spec(&header), SpecId::OSAKA);
        let ether = genesis.alloc.values().filter(|it| it.balance == U256::from(10_u128.pow(22)));
        assert_eq!(ether.count(), 10);
        let deployer = genesis.alloc.get(&DEPLOYER).and_then(|it| it.code.as_ref());
        // Hash of the code that Ethereum's main network has at this address.
        let known = "2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989";
        let found = deployer.map(|code| format!("{:x}", keccak256(code)));
        assert_eq!(found.as_deref(), Some(known));
    }
}
