//! Real processes, killed (SIGKILL) again and again while eight sessions write, recovered and checked after
//! each kill: all that was acknowledged is there, every transaction wholly or not at all, no session's
//! transactions with a gap, the structure sound; every few rounds two independent readers see the same. The same in the middle of
//! backups and restores, whose sets must come back.
//!
//! `cargo xtask kill` runs as many rounds as are asked for.

mod backups;
#[path = "../../../esent/tests/common/mod.rs"]
mod c_programs;
mod check;
#[path = "../common/mod.rs"]
mod common;
mod plan;
mod process;
#[path = "../common/readers.rs"]
mod readers;
mod rounds;
mod tables;
mod writer;

use ese_testbench::settings::number;
use rounds::{Language, Plan};

#[test]
fn what_was_acknowledged_survives_kills() {
    let test = "what_was_acknowledged_survives_kills";
    let plan = Plan { rounds: 4, sessions: 8, seed: 1, readers_every: 4, language: Language::Rust };
    rounds::run(plan, readers::Readers::find(test));
}

#[test]
fn what_was_acknowledged_to_a_c_program_survives_kills() {
    let test = "what_was_acknowledged_to_a_c_program_survives_kills";
    let plan = Plan { rounds: 3, sessions: 8, seed: 2, readers_every: 3, language: Language::C };
    rounds::run(plan, readers::Readers::find(test));
}

#[test]
fn a_c_program_is_killed_in_backups_and_restores() {
    backups::run(3, 4, 3);
}

/// As many rounds as `OPENESE_KILL_ROUNDS` says.
#[test]
#[ignore = "long: run by cargo xtask kill"]
fn many_rounds() {
    if number("OPENESE_KILL_BACKUP").unwrap_or(0) > 0 {
        let sessions = number("OPENESE_KILL_SESSIONS").unwrap_or(8) as i32;
        let (rounds, seed) = (number("OPENESE_KILL_ROUNDS"), number("OPENESE_KILL_SEED"));
        return backups::run(rounds.unwrap_or(20), sessions, seed.unwrap_or(1));
    }
    let plan = Plan {
        rounds: number("OPENESE_KILL_ROUNDS").unwrap_or(20),
        sessions: number("OPENESE_KILL_SESSIONS").unwrap_or(8) as i32,
        seed: number("OPENESE_KILL_SEED").unwrap_or(1),
        readers_every: 8,
        language: if number("OPENESE_KILL_C").unwrap_or(0) > 0 { Language::C } else { Language::Rust },
    };
    rounds::run(plan, readers::Readers::find("many_rounds"));
}

/// Not a test: what the others start as the process to be killed.
#[test]
#[ignore = "started by the others"]
fn writing_process() {
    let setup = rounds::Setting::of_environment().expect("what to write to");
    writer::run(&setup).expect("writing");
}
