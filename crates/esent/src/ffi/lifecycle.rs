//! From a created instance to a running one and back.

use crate::border::jet_api;
use crate::instance_info::describe;
use crate::pointer::{Form, InOut, Narrow, Out, Wide};
use crate::process::{Entry, PROCESS};
use crate::types::*;
use ese::raw::{InitOptions, TermOptions};
use ese::recovery::RedoOptions;
use ese::{Error, JetErr, Result};

/// Bits of JetTerm2: complete, abrupt, stop a backup, leave databases dirty.
const TERM_STOP_BACKUP: JET_GRBIT = 0x4;
const TERM_DIRTY: JET_GRBIT = 0x8;
const TERM_ALL: JET_GRBIT = 0xF;

/// JET_bitStopServiceAll; BackgroundUserTasks and QuiesceCaches; Resume.
const STOP_ALL: JET_GRBIT = 0;
const STOP_CHOSEN: JET_GRBIT = 0x2 | 0x4;
const STOP_RESUME: JET_GRBIT = 0x8000_0000;

jet_api! {
    /// Starts an instance, with recovery when needed.
    fn JetInit(pinstance: InOut<JET_INSTANCE>) {
        init(pinstance, 0)
    }

    /// Starts an instance with option bits.
    fn JetInit2(pinstance: InOut<JET_INSTANCE>, grbit: JET_GRBIT) {
        init(pinstance, grbit)
    }

    /// Starts an instance with option bits; where recovery is to find databases and where to stop is
    /// JET_errFeatureNotAvailable.
    fn JetInit3A | JetInit3(
        pinstance: InOut<JET_INSTANCE>, prstInfo: InOut<JET_RSTINFO_A>, grbit: JET_GRBIT,
    ) {
        if let Some(info) = prstInfo.get() {
            check_restore_info(info.cbStruct, info.crstmap, [info.lgposStop.lGeneration as u32, u32::from(info.logtimeStop.bYear)])?;
        }
        init(pinstance, grbit)
    }

    /// Starts an instance with option bits; where recovery is to find databases and where to stop is
    /// JET_errFeatureNotAvailable.
    fn JetInit3W(pinstance: InOut<JET_INSTANCE>, prstInfo: InOut<JET_RSTINFO_W>, grbit: JET_GRBIT) {
        if let Some(info) = prstInfo.get() {
            check_restore_info(info.cbStruct, info.crstmap, [info.lgposStop.lGeneration as u32, u32::from(info.logtimeStop.bYear)])?;
        }
        init(pinstance, grbit)
    }

    /// Ends an instance.
    fn JetTerm(instance: JET_INSTANCE) {
        term(instance, 0)
    }

    /// Ends an instance in the way that the option bits say.
    fn JetTerm2(instance: JET_INSTANCE, grbit: JET_GRBIT) {
        term(instance, grbit)
    }

    /// Lets the only instance refuse further work.
    fn JetStopService() {
        PROCESS.only_instance()?.stop_service()
    }

    /// Lets an instance refuse further work.
    fn JetStopServiceInstance(instance: JET_INSTANCE) {
        PROCESS.instance(instance)?.stop_service()
    }

    /// Stops chosen services of an instance, or lets them go on.
    fn JetStopServiceInstance2(instance: JET_INSTANCE, grbit: JET_GRBIT) {
        let entry = PROCESS.instance(instance)?;
        stop_services(&entry, grbit)
    }

    /// Tells which instances are initialised and what they have attached. Released with JetFreeBuffer.
    fn JetGetInstanceInfoA | JetGetInstanceInfo(pcInstanceInfo: Out<u32>, paInstanceInfo: Out<usize>) {
        instance_info::<Narrow>(pcInstanceInfo, paInstanceInfo)
    }

    /// Tells which instances are initialised and what they have attached. Released with JetFreeBuffer.
    fn JetGetInstanceInfoW(pcInstanceInfo: Out<u32>, paInstanceInfo: Out<usize>) {
        instance_info::<Wide>(pcInstanceInfo, paInstanceInfo)
    }
}

fn instance_info<F: Form>(count: Out<u32>, array: Out<usize>) -> Result<()> {
    let (count, array) = (count.required()?, array.required()?);
    let mut running = PROCESS.instances();
    running.retain(|entry| entry.is_running());
    array.set(if running.is_empty() { 0 } else { describe::<F>(&running)? });
    count.set(running.len() as u32);
    Ok(())
}

fn stop_services(entry: &Entry, grbit: JET_GRBIT) -> Result<()> {
    if grbit & !(STOP_CHOSEN | STOP_RESUME) != 0 {
        return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
    }
    if grbit == STOP_ALL {
        return entry.stop_service();
    }
    // Chosen services: maintenance that clients asked for, of which this engine has none, and caches with
    // changes, of which it keeps none between calls. Both are at rest, stopped or not, unless everything
    // was stopped, which nothing takes back.
    entry.check_serving()
}

fn check_restore_info(size: u32, mapped: i32, stop: [u32; 2]) -> Result<()> {
    // Both forms have the same size.
    if size as usize != size_of::<JET_RSTINFO_A>() || mapped < 0 {
        return Err(Error::new(JetErr::InvalidParameter, "JET_RSTINFO has another size or count"));
    }
    if mapped > 0 || stop != [0; 2] {
        let what = "init with a map or a stop position is not offered";
        return Err(Error::new(JetErr::FeatureNotAvailable, what));
    }
    Ok(())
}

fn init(place: InOut<JET_INSTANCE>, grbit: JET_GRBIT) -> Result<()> {
    let unknown = || Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}"));
    let options = InitOptions { redo: RedoOptions::from_bits(grbit).ok_or_else(unknown)? };
    let (entry, made) = PROCESS.to_initialize(place.get())?;
    let result = entry.init(options);
    match (&result, made) {
        (Err(_), true) => PROCESS.remove(entry.handle()),
        (Ok(()), true) => place.set(entry.handle()),
        _ => {}
    }
    result
}

fn term(instance: JET_INSTANCE, grbit: JET_GRBIT) -> Result<()> {
    let entry = PROCESS.instance(instance)?;
    if grbit & !TERM_ALL != 0 {
        return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
    }
    let dirty = grbit & TERM_DIRTY != 0;
    let running = entry.is_running();
    let result = entry.term(TermOptions { dirty, stop_backup: grbit & TERM_STOP_BACKUP != 0 });
    if !entry.is_running() {
        PROCESS.sessions().end_all_of(entry.handle());
        PROCESS.remove(entry.handle());
    }
    result?;
    // The documented way to say that the databases were left as asked.
    if dirty && running { Err(JetErr::DirtyShutdown.into()) } else { Ok(()) }
}
