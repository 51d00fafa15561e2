//! `cargo xtask bench read`.

use super::measure::{Cost, best_of};
use crate::python::Python;
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The sample, below the folder of samples: 65,068 rows in the catalog, 64,993 columns in table `large`.
const SAMPLE: &str = "esedb-large/large.edb.gz";
/// The tables, and the readers that can read them.
const TABLES: [(&str, &[&str]); 2] = [("MSysObjects", &["dissect", "libesedb"]), ("large", &["dissect"])];
/// The fastest of so many runs counts for us; the peers take long and run once.
const ROUNDS: u32 = 3;

/// Builds the command, reads the sample with every reader in turn, and checks page checksums.
pub(crate) fn run() -> Result<ExitCode> {
    let python = Python::prepare()?;
    let database = unpack_sample()?;
    cargo(&["build", "--quiet", "--release", "--bin", "ese"])?;
    let ese = workspace::target().join("release/ese");
    let script = workspace::root().join("crates/xtask/src/bench/read_with_peer.py");

    println!("Reading {SAMPLE}: all values of all records, one thread, output thrown away.");
    println!("MB are those of the JSON lines that `ese export` writes for the table, for every reader.");
    println!("Times include the start of the process.\n");
    println!(
        "{:<12} {:<10} {:>8} {:>10} {:>12} {:>10} {:>12}",
        "table", "reader", "rows", "seconds", "rows/s", "MB/s", "peak memory"
    );
    for (table, peers) in TABLES {
        let export = || {
            let mut command = Command::new(&ese);
            command.args(["export", "--format", "jsonl", "--table", table]).arg(&database);
            command
        };
        let output = export().output().context("running ese export")?;
        if !output.status.success() {
            bail!("ese export failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let rows = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        let bytes = output.stdout.len();
        let ours = best_of(ROUNDS, export)?;
        print_row(table, "ese", rows, bytes, ours, None);
        for peer in peers {
            let read = || {
                let mut command = python.command();
                command.arg(&script).arg(peer).arg(&database).arg(table);
                command
            };
            print_row(table, peer, rows, bytes, best_of(1, read)?, Some(ours));
        }
    }
    println!();
    cargo(&["bench", "--quiet", "--package", "ese-format", "--bench", "checksum"])?;
    Ok(ExitCode::SUCCESS)
}

fn print_row(table: &str, reader: &str, rows: usize, bytes: usize, cost: Cost, ours: Option<Cost>) {
    let seconds = cost.wall.as_secs_f64();
    let ratio = ours.map_or_else(String::new, |ours| {
        format!("   ese is {:.0} times as fast", seconds / ours.wall.as_secs_f64())
    });
    println!(
        "{table:<12} {reader:<10} {rows:>8} {seconds:>10.3} {:>12.0} {:>10.2} {:>9.1} MB{ratio}",
        rows as f64 / seconds,
        bytes as f64 / seconds / 1e6,
        cost.peak_memory as f64 / 1e6,
    );
}

/// The sample as a plain file under `target/`.
fn unpack_sample() -> Result<PathBuf> {
    let samples = std::env::var_os("OPENESE_SAMPLES")
        .map_or_else(|| workspace::root().join("../shared/data"), PathBuf::from);
    let packed = samples.join(SAMPLE);
    let file = fs::File::open(&packed)
        .with_context(|| format!("{}: set OPENESE_SAMPLES to the folder of samples", packed.display()))?;
    let folder = workspace::target().join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let plain = folder.join(Path::new(SAMPLE).with_extension("").file_name().context("a sample's name")?);
    let mut out = fs::File::create(&plain).with_context(|| format!("making {}", plain.display()))?;
    std::io::copy(&mut flate2::read::GzDecoder::new(file), &mut out)
        .with_context(|| format!("unpacking {}", packed.display()))?;
    Ok(plain)
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let status = Command::new(workspace::cargo()).current_dir(workspace::root()).args(arguments).status()?;
    if !status.success() {
        bail!("cargo {} failed ({status})", arguments.join(" "));
    }
    Ok(())
}
