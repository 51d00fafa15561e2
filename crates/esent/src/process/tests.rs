use super::*;
use ese::raw::{InitOptions, TermOptions};
use ese::restore::map::RestoreMap;
use std::path::Path;

fn code<T>(result: Result<T>) -> JetErr {
    result.err().expect("an error").code()
}

/// An instance that has all its files in a folder.
fn create_in(process: &Process, name: &str, folder: &Path) -> Arc<Entry> {
    let entry = process.create(name, "").unwrap();
    let temporary = folder.join("tmp.edb");
    let places =
        [(ParamId::LogFilePath, folder), (ParamId::SystemPath, folder), (ParamId::TempPath, &temporary)];
    for (id, path) in places {
        entry.parameters().lock().set_text(id, path.to_str().unwrap()).unwrap();
    }
    entry
}

#[test]
fn modes_exclude_each_other() {
    let process = Process::new();
    assert_eq!(code(process.only_instance()), JetErr::NotInitialized);
    let (only, made) = process.to_initialize(None).unwrap();
    assert!(made);
    assert_eq!(process.mode(), Mode::Single);
    assert_eq!(code(process.create("a", "")), JetErr::RunningInOneInstanceMode);
    assert_eq!(code(process.enable_multi()), JetErr::RunningInOneInstanceMode);
    assert_eq!(code(process.to_initialize(Some(0))), JetErr::AlreadyInitialized);
    // The handle does not matter.
    assert_eq!(process.instance(12345).unwrap().handle(), only.handle());
    process.remove(only.handle());
    assert_eq!(process.mode(), Mode::Undecided);

    process.enable_multi().unwrap();
    assert_eq!(code(process.enable_multi()), JetErr::SystemParamsAlreadySet);
    assert_eq!(code(process.to_initialize(None)), JetErr::RunningInMultiInstanceMode);
    assert_eq!(code(process.only_instance()), JetErr::RunningInMultiInstanceMode);
    assert_eq!(code(process.instance(only.handle())), JetErr::InvalidParameter);
}

#[test]
fn instances_have_names_and_a_limit() {
    let process = Process::new();
    process.change_parameters(0, ParamId::MaxInstances, |p| p.set_integer(ParamId::MaxInstances, 2)).unwrap();
    let a = process.create("a", "the first").unwrap();
    assert_eq!(code(process.create("a", "")), JetErr::InstanceNameInUse);
    let b = process.create("", "").unwrap();
    assert_eq!(code(process.create("c", "")), JetErr::TooManyInstances);
    process.remove(a.handle());
    let c = process.create("a", "").unwrap();
    assert!(c.handle() != a.handle() && c.handle() != b.handle());
    assert_eq!(process.instances().len(), 2);
    // Initialising without a handle makes one more instance, when there is room.
    assert_eq!(code(process.to_initialize(Some(JET_INSTANCE_NIL))), JetErr::TooManyInstances);
}

#[test]
fn parameters_have_their_scope() {
    let process = Process::new();
    let set = |handle, id: ParamId, value| {
        process.change_parameters(handle, id, |p: &mut Parameters| p.set_integer(id, value))
    };
    let get = |handle, id: ParamId| process.read_parameters(handle, id, |p| p.integer(id)).unwrap();
    set(0, ParamId::DatabasePageSize, 8192).unwrap();
    set(0, ParamId::LogFileSize, 256).unwrap();
    let a = process.create("a", "").unwrap();
    assert_eq!(a.parameters().lock().page_size().bytes(), 8192);
    assert_eq!(get(a.handle(), ParamId::LogFileSize), 256);
    assert_eq!(code(set(0, ParamId::DatabasePageSize, 4096)), JetErr::AlreadyInitialized);
    assert_eq!(code(set(a.handle(), ParamId::DatabasePageSize, 4096)), JetErr::AlreadyInitialized);
    set(a.handle(), ParamId::LogFileSize, 512).unwrap();
    assert_eq!(get(0, ParamId::LogFileSize), 256);
    // A global parameter that may change at any time changes for all.
    set(a.handle(), ParamId::CacheSizeMax, 1000).unwrap();
    assert_eq!(get(0, ParamId::CacheSizeMax), 1000);
    assert_eq!(a.parameters().lock().integer(ParamId::CacheSizeMax), 1000);
    assert_eq!(code(set(77, ParamId::LogFileSize, 512)), JetErr::InvalidParameter);
}

#[test]
fn all_instances_share_one_cache_that_follows_its_parameters() {
    let process = Process::new();
    let set = |id: ParamId, value| {
        process.change_parameters(0, id, |p: &mut Parameters| p.set_integer(id, value)).unwrap();
    };
    set(ParamId::DatabasePageSize, 8192);
    set(ParamId::CacheSizeMax, 1000);
    assert_eq!(process.cached_pages(), 0);
    let cache = process.cache();
    assert_eq!(cache.limit(), 1000 * 8192);
    let folder = tempfile::tempdir().unwrap();
    let mut engines = Vec::new();
    for name in ["a", "b"] {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).unwrap();
        let entry = create_in(&process, name, &place);
        process.initialize(&entry, InitOptions::default(), &RestoreMap::default(), &mut |_| {}).unwrap();
        assert!(Arc::ptr_eq(&entry.engine().unwrap().cache().unwrap(), &cache));
        let session = entry.begin_session().unwrap();
        drop(session.create(&place.join("x.edb"), ese::database::CreateOptions::default()).unwrap());
        engines.push((entry, session));
    }
    assert!(process.cached_pages() > 20, "pages of both: {}", process.cached_pages());
    // Both run: what is set now counts now.
    set(ParamId::CacheSizeMax, 10);
    set(ParamId::CacheSizeMin, 5);
    assert_eq!(cache.limit(), 64 * 8192, "the least with which work is possible");
    set(ParamId::CacheSize, 300);
    assert_eq!(cache.limit(), 300 * 8192);
    set(ParamId::CacheSize, 0);
    set(ParamId::CacheSizeMax, 2_000_000_000);
    let memory = ese_vfs::memory_bytes().unwrap();
    assert_eq!(cache.limit() as u64, memory / 4);
    for (entry, session) in engines {
        drop(session);
        entry.term(TermOptions::default()).unwrap();
    }
    assert_eq!(process.cached_pages(), 0);
}

/// What was not set is what was found.
#[test]
fn the_size_of_logs_is_that_of_those_that_are_there() {
    let process = Process::new();
    let folder = tempfile::tempdir().unwrap();
    for (name, chosen) in [("a", true), ("b", false)] {
        let entry = create_in(&process, name, folder.path());
        if chosen {
            entry.parameters().lock().set_integer(ParamId::LogFileSize, 256).unwrap();
        }
        process.initialize(&entry, InitOptions::default(), &RestoreMap::default(), &mut |_| {}).unwrap();
        let size = process
            .read_parameters(entry.handle(), ParamId::LogFileSize, |p| p.integer(ParamId::LogFileSize));
        assert_eq!(size.unwrap(), 256);
        entry.term(TermOptions::default()).unwrap();
        process.remove(entry.handle());
    }
}
