use super::*;

fn code<T>(result: Result<T>) -> JetErr {
    result.err().expect("an error").code()
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
