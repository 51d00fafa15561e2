use super::*;

#[test]
fn documented_defaults() {
    let p = Parameters::new();
    assert_eq!(p.page_size(), PageSize::K4);
    assert_eq!((p.base_name(), p.log_file_kib()), ("edb", 5120));
    assert_eq!(p.log_dir(), PathBuf::from("./"));
    assert_eq!(p.temp_path(), PathBuf::from("tmp.edb"));
    assert_eq!(p.integer(ParamId::CheckpointDepthMax), 20 << 20);
    assert_eq!((p.key_most(), p.integer(ParamId::LVChunkSizeMost)), (500, 4014));
    assert!(p.recovery_on() && p.legacy_file_names() && !p.circular_logging());
    for id in ParamId::all() {
        assert_eq!(ParamId::from_number(id.number()), Some(id));
        let d = id.definition();
        assert_eq!(d.id, id);
        assert!(d.name.starts_with("JET_param"), "{}", d.name);
        // A default that could not be set back would be a mistake of the table.
        if d.settable != Settable::Never {
            let mut q = Parameters::new();
            let result =
                if d.kind.is_text() { q.set_text(id, p.text(id)) } else { q.set_integer(id, p.integer(id)) };
            let no_value_yet = matches!(d.default, DefaultValue::Integer(0)) && d.min > 0;
            assert!(result.is_ok() || no_value_yet, "{}: {result:?}", d.name);
        }
    }
    assert_eq!(ParamId::from_number(100_000), None);
    assert_eq!(ParamId::OnLineCompact, ParamId::EnableOnlineDefrag);
}

#[test]
fn ranges_and_types() {
    let mut p = Parameters::new();
    let code = |r: Result<()>| r.unwrap_err().code();
    for bad in [1024, 3000, 65_536] {
        assert_eq!(code(p.set_integer(ParamId::DatabasePageSize, bad)), JetErr::InvalidParameter);
    }
    p.set_integer(ParamId::DatabasePageSize, 32_768).unwrap();
    assert_eq!(p.key_most(), 2000);
    assert_eq!(code(p.set_integer(ParamId::LogFileSize, 63)), JetErr::InvalidParameter);
    assert_eq!(code(p.set_integer(ParamId::BaseName, 1)), JetErr::InvalidParameter);
    assert_eq!(code(p.set_text(ParamId::LogFileSize, "1")), JetErr::InvalidParameter);
    for bad in ["", "ed", "edbx", "a/b", "a\0b"] {
        assert_eq!(code(p.set_text(ParamId::BaseName, bad)), JetErr::InvalidParameter, "{bad:?}");
    }
    assert_eq!(code(p.set_integer(ParamId::CacheHits, 1)), JetErr::InvalidParameter);
    assert_eq!(code(p.set_integer(ParamId::CommitDefault, 4)), JetErr::InvalidParameter);
    p.set_text(ParamId::LogFilePath, &"x".repeat(986)).unwrap();
    assert_eq!(code(p.set_text(ParamId::LogFilePath, &"x".repeat(987))), JetErr::InvalidParameter);
    p.set_integer(ParamId::CircularLog, 77).unwrap();
    assert_eq!(p.integer(ParamId::CircularLog), 1);
}

#[test]
fn ignored_parameters_read_back() {
    let mut p = Parameters::new();
    p.set_integer(ParamId::BackupChunkSize, 64).unwrap();
    assert_eq!(p.integer(ParamId::BackupChunkSize), 64);
    assert_eq!(ParamId::BackupChunkSize.definition().handling, Handling::Ignored);
}

#[test]
fn too_late_is_already_initialized() {
    let mut p = Parameters::new();
    p.set_stage(Stage::Created);
    assert_eq!(
        p.set_integer(ParamId::DatabasePageSize, 8192).unwrap_err().code(),
        JetErr::AlreadyInitialized
    );
    p.set_integer(ParamId::LogFileSize, 256).unwrap();
    p.set_stage(Stage::Running);
    assert_eq!(p.set_integer(ParamId::LogFileSize, 512).unwrap_err().code(), JetErr::AlreadyInitialized);
    p.set_integer(ParamId::CheckpointDepthMax, 1).unwrap();
    assert_eq!((p.log_file_kib(), p.checkpoint_depth()), (256, 1));
}

#[test]
fn configurations_choose_defaults() {
    let mut p = Parameters::new();
    p.set_text(ParamId::BaseName, "abc").unwrap();
    p.set_integer(ParamId::LogFileSize, 1024).unwrap();
    p.set_integer(ParamId::Configuration, CONFIG_DEFAULT | CONFIG_LOW_MEMORY).unwrap();
    assert_eq!((p.log_file_kib(), p.base_name()), (64, "abc"));
    assert_eq!(p.integer(ParamId::Configuration), 17);
    assert_eq!(p.integer(ParamId::CheckpointDepthMax), 65_536);
}

#[test]
fn global_values_are_adopted() {
    let mut global = Parameters::new();
    global.set_integer(ParamId::DatabasePageSize, 8192).unwrap();
    global.set_integer(ParamId::LogFileSize, 128).unwrap();
    let mut own = Parameters::new();
    own.adopt_global(&global);
    assert_eq!(own.page_size(), PageSize::K8);
    assert_eq!(own.log_file_kib(), 5120);
}
