//! Configures an executor from the command line and from a file.
//!
//! `cargo run --example configure --features serde -- 4`

use braid_evm::{Config, Executor};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let workers = std::env::args().nth(1).map_or(Ok(2), |text| text.parse())?;
    let config = Config::builder().workers(workers).access_list(true).build()?;
    println!("{} workers", Executor::new(config)?.config().workers);

    let refused = Config::builder().workers(4).io_workers(2).build().unwrap_err();
    assert_eq!(refused.field, "io_workers");
    println!("{refused}");
    from_file()
}

#[cfg(feature = "serde")]
fn from_file() -> Result<(), Box<dyn Error>> {
    let config: Config = serde_json::from_str(r#"{"workers": 4, "reverts": false}"#)?;
    assert_eq!((config.workers.get(), config.learn), (4, true));
    let refused = serde_json::from_str::<Config>(r#"{"workers": 0}"#).unwrap_err();
    println!("{refused}");
    Ok(())
}

#[cfg(not(feature = "serde"))]
fn from_file() -> Result<(), Box<dyn Error>> {
    println!("with --features serde it is read from a file, too");
    Ok(())
}
