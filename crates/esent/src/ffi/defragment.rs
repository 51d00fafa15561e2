//! Online defragmentation.

use crate::border::jet_api;
use crate::pointer::{Form, InOut, Text, TextA, TextW};
use crate::process::PROCESS;
use crate::status::Defragmentation;
use crate::text::required_path;
use crate::types::*;
use ese::raw::{Database, DefragmentOptions, DefragmentStart, OnDefragmented};
use ese::{Error, JetErr, Result};
use std::time::Duration;

/// JET_bitDefragmentBatchStart.
const START: JET_GRBIT = 0x1;
/// JET_bitDefragmentBatchStop.
const STOP: JET_GRBIT = 0x2;
/// JET_bitDefragmentAvailSpaceTreesOnly.
const SPACE_TREES: JET_GRBIT = 0x40;
/// JET_bitDefragmentNoPartialMerges.
const NO_PARTIAL: JET_GRBIT = 0x80;
/// JET_bitDefragmentBTree.
const BTREE: JET_GRBIT = 0x100;

jet_api! {
    /// Starts or ends the defragmentation of an open database.
    fn JetDefragmentA | JetDefragment(
        sesid: JET_SESID, dbid: JET_DBID, szTableName: TextA, pcPasses: InOut<u32>, pcSeconds: InOut<u32>,
        grbit: JET_GRBIT,
    ) {
        of_open(sesid, dbid, szTableName, (pcPasses, pcSeconds), None, grbit)
    }

    /// Starts or ends the defragmentation of an open database.
    fn JetDefragmentW(
        sesid: JET_SESID, dbid: JET_DBID, szTableName: TextW, pcPasses: InOut<u32>, pcSeconds: InOut<u32>,
        grbit: JET_GRBIT,
    ) {
        of_open(sesid, dbid, szTableName, (pcPasses, pcSeconds), None, grbit)
    }

    /// As JetDefragment; a callback hears of the end.
    fn JetDefragment2A | JetDefragment2(
        sesid: JET_SESID, dbid: JET_DBID, szTableName: TextA, pcPasses: InOut<u32>, pcSeconds: InOut<u32>,
        callback: JET_CALLBACK, grbit: JET_GRBIT,
    ) {
        of_open(sesid, dbid, szTableName, (pcPasses, pcSeconds), callback, grbit)
    }

    /// As JetDefragment; a callback hears of the end.
    fn JetDefragment2W(
        sesid: JET_SESID, dbid: JET_DBID, szTableName: TextW, pcPasses: InOut<u32>, pcSeconds: InOut<u32>,
        callback: JET_CALLBACK, grbit: JET_GRBIT,
    ) {
        of_open(sesid, dbid, szTableName, (pcPasses, pcSeconds), callback, grbit)
    }

    /// As JetDefragment2 for an attached database that is named by its file.
    fn JetDefragment3A | JetDefragment3(
        sesid: JET_SESID, szDatabaseName: TextA, szTableName: TextA, pcPasses: InOut<u32>, pcSeconds: InOut<u32>,
        callback: JET_CALLBACK, pvContext: *mut c_void, grbit: JET_GRBIT,
    ) {
        of_file(sesid, szDatabaseName, szTableName, (pcPasses, pcSeconds), (callback, pvContext), grbit)
    }

    /// As JetDefragment2 for an attached database that is named by its file.
    fn JetDefragment3W(
        sesid: JET_SESID, szDatabaseName: TextW, szTableName: TextW, pcPasses: InOut<u32>, pcSeconds: InOut<u32>,
        callback: JET_CALLBACK, pvContext: *mut c_void, grbit: JET_GRBIT,
    ) {
        of_file(sesid, szDatabaseName, szTableName, (pcPasses, pcSeconds), (callback, pvContext), grbit)
    }
}

type Limits = (InOut<u32>, InOut<u32>);

fn of_open<F: Form>(
    sesid: JET_SESID,
    dbid: JET_DBID,
    table: Text<F>,
    limits: Limits,
    callback: JET_CALLBACK,
    grbit: JET_GRBIT,
) -> Result<Option<JetErr>> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    let request = Request::new(table, limits, grbit)?;
    let told = Defragmentation { session: sesid, database: dbid, callback, context: std::ptr::null_mut() };
    let path = session.open_database_facts(dbid)?.path;
    request.carry_out(&session.open_for_now(&path)?, told)
}

fn of_file<F: Form>(
    sesid: JET_SESID,
    file: Text<F>,
    table: Text<F>,
    limits: Limits,
    (callback, context): (JET_CALLBACK, *mut c_void),
    grbit: JET_GRBIT,
) -> Result<Option<JetErr>> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    let path = required_path(file)?;
    let request = Request::new(table, limits, grbit)?;
    let database = session.open_for_now(&path)?;
    let told = Defragmentation { session: sesid, database: database.id().into(), callback, context };
    request.carry_out(&database, told)
}

/// What is asked for.
struct Request {
    stops: bool,
    options: DefragmentOptions,
    limits: Limits,
}

impl Request {
    fn new<F: Form>(table: Text<F>, limits: Limits, grbit: JET_GRBIT) -> Result<Self> {
        if grbit & !(START | STOP | SPACE_TREES | NO_PARTIAL | BTREE) != 0
            || grbit & (START | STOP) == START | STOP
            || grbit & (START | STOP | BTREE) == 0
        {
            return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
        }
        let is_one_tree = grbit & BTREE != 0;
        let name = table.get()?.filter(|name| !name.is_empty());
        if is_one_tree && name.is_none() {
            return Err(Error::new(JetErr::InvalidParameter, "no table is named"));
        }
        // Negative numbers are no limit.
        let limit =
            |place: &InOut<u32>| place.get().filter(|limit| *limit > 0 && i32::try_from(*limit).is_ok());
        let options = DefragmentOptions {
            // For the whole database a name means nothing.
            table: name.filter(|_| is_one_tree),
            passes: limit(&limits.0).or(is_one_tree.then_some(1)),
            time: limit(&limits.1).map(|seconds| Duration::from_secs(seconds.into())),
            no_partial_merges: grbit & NO_PARTIAL != 0,
            space_trees_only: grbit & SPACE_TREES != 0,
        };
        Ok(Self { stops: grbit & STOP != 0, options, limits })
    }

    fn carry_out(self, database: &Database, told: Defragmentation) -> Result<Option<JetErr>> {
        if !self.stops {
            let on_end =
                told.callback.is_some().then(|| -> OnDefragmented { Box::new(move |_| told.tell()) });
            return Ok(match database.start_defragmentation(self.options, on_end)? {
                DefragmentStart::Started | DefragmentStart::Disabled => None,
                DefragmentStart::AlreadyRunning => Some(JetErr::WrnDefragAlreadyRunning),
            });
        }
        let Some(done) = database.stop_defragmentation()? else {
            return Ok(Some(JetErr::WrnDefragNotRunning));
        };
        let (passes, seconds) = self.limits;
        passes.set(done.passes);
        seconds.set(u32::try_from(done.time.as_secs()).unwrap_or(u32::MAX));
        Ok(None)
    }
}
