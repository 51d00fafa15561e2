//! Stopping and ending an instance, and telling which run.

use crate::border::jet_api;
use crate::instance_info::describe;
use crate::pointer::{Form, Narrow, Out, Wide};
use crate::process::{Entry, PROCESS};
use crate::types::*;
use ese::raw::{StopService, TermOptions};
use ese::{Error, JetErr, Result};

/// Bits of JetTerm2: complete, abrupt, stop a backup, leave databases dirty.
const TERM_STOP_BACKUP: JET_GRBIT = 0x4;
const TERM_DIRTY: JET_GRBIT = 0x8;
const TERM_ALL: JET_GRBIT = 0xF;

jet_api! {
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
        PROCESS.only_instance()?.stop_service(StopService::empty())
    }

    /// Lets an instance refuse further work.
    fn JetStopServiceInstance(instance: JET_INSTANCE) {
        stop_services(&*PROCESS.instance(instance)?, 0)
    }

    /// Stops chosen services of an instance, or lets them go on.
    fn JetStopServiceInstance2(instance: JET_INSTANCE, grbit: JET_GRBIT) {
        stop_services(&*PROCESS.instance(instance)?, grbit)
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
    let unknown = || Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}"));
    let services = StopService::from_bits(grbit).ok_or_else(unknown)?;
    // What does not run is documented as a wrong instance.
    entry.stop_service(services).map_err(|error| match error.code() {
        JetErr::NotInitialized => error.with_code(JetErr::InvalidParameter),
        _ => error,
    })
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
