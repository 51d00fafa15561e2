//! Compiles C programs against the header and links them with the library just built.
#![allow(dead_code, reason = "tests of other crates use a part of it")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of the library under test: Cargo puts it beside the test programs.
pub(crate) fn library_folder() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    assert!(folder.join("libesent.so").exists(), "no libesent.so in {}", folder.display());
    folder
}

/// Compiles `tests/c/<name>.c` into `folder`; warnings are errors.
pub(crate) fn compile(name: &str, folder: &Path) -> PathBuf {
    // Tests of other crates use this module as well.
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../esent"));
    let library = library_folder();
    let program = folder.join(format!("{name}.program"));
    let output = Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-g",
            "-pthread",
            "-D_POSIX_C_SOURCE=200809L",
            "-I",
        ])
        .arg(root.join("include"))
        .arg(root.join("tests/c").join(name).with_extension("c"))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .arg("-lesent")
        .output()
        .expect("a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// The command that runs a compiled program. OPENESE_RUNNER may hold a command that runs it, such as
/// "valgrind -q --error-exitcode=9".
pub(crate) fn command(program: &Path) -> Command {
    let runner = std::env::var("OPENESE_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace().map(OsStr::new).chain([program.as_os_str()]);
    let mut command = Command::new(words.next().unwrap_or_default());
    // Cargo points this variable at a folder in which an older build of the library may lie, and it would win
    // over the path that the program was linked with.
    command.args(words).env_remove("LD_LIBRARY_PATH");
    command
}

/// Runs a compiled program; a failure shows what it printed.
pub(crate) fn run(program: &Path, arguments: &[&Path]) -> Output {
    let output = command(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{:?}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
