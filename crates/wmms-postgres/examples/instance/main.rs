//! An instance of a WMMS and nothing else: `instance SETTINGS NAME`, until it is killed. `scripts/failover` can run
//! it in the place of `wpanlab node --store`, of which it is the same code without a plan around it.

mod alone;

use std::error::Error;
use std::fs;

use wmms_postgres::{Settings, instance};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [settings, name] = arguments.as_slice() else {
        return Err("instance SETTINGS NAME".into());
    };
    let settings = Settings::from_json(&fs::read_to_string(settings)?, name)?;
    instance::run(&mut alone::Alone, &settings, name).await
}
