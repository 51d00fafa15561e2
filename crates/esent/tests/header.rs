//! The header says what the library does.

mod common;

#[test]
fn structures_and_symbols() {
    let folder = tempfile::tempdir().unwrap();
    common::run(&common::compile("layout", folder.path()), &[]);
}

#[test]
fn calls_before_an_instance_is_initialised() {
    let folder = tempfile::tempdir().unwrap();
    common::run(&common::compile("parameters", folder.path()), &[]);
}

#[test]
fn a_probe_without_logging_leaves_no_file() {
    let (programs, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    common::run(&common::compile("probe", programs.path()), &[folder.path()]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Programs are written in many languages, and with the strictest warnings: what the header has by extension says so.
#[test]
fn the_header_is_clean_in_every_language() {
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let folder = tempfile::tempdir().unwrap();
    let check = |language: &str, standard: &str, text: &str, define: &str| {
        let source = folder.path().join("source");
        std::fs::write(&source, text).unwrap();
        let output = std::process::Command::new("cc")
            .args(["-fsyntax-only", "-Wall", "-Wextra", "-pedantic", "-Werror", "-x", language])
            .args([&format!("-std={standard}"), define, "-I", include])
            .arg(&source)
            .output()
            .expect("a C compiler");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let program = "#include <esent.h>\nJET_INSTANCE instance;\nJET_LOGINFO info;\n";
    let mut languages = vec![("c", ["c89", "c99", "c11"])];
    if check("c++", "c++98", "int nothing;\n", "-DNONE").0 {
        languages.push(("c++", ["c++98", "c++11", "c++17"]));
    } else {
        eprintln!("openese: skipped: the_header_is_clean_in_every_language: no C++ compiler");
    }
    for (language, standards) in languages {
        for standard in standards {
            for define in ["-DNONE", "-DJET_UNICODE", "-DJET_INTERNAL_API"] {
                let (is_clean, said) = check(language, standard, program, define);
                assert!(is_clean, "{standard} {define}: {said}");
            }
        }
    }
}
