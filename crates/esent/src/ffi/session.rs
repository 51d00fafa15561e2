//! Sessions and databases.

use crate::border::jet_api;
use crate::pointer::{Array, Bytes, Form, Out, Text, TextA, TextW};
use crate::process::PROCESS;
use crate::text::{path, required_path};
use crate::types::*;
use ese::raw::{AttachOptions, TextIndexes};
use ese::{Error, JetErr, Result};
use std::ops::Range;
use std::path::PathBuf;

/// What JetGetVersion tells: the build of Windows whose format and API this is, in the place where
/// clients look for it.
const VERSION: u32 = 19041 << 8;
/// JET_bitDbReadOnly.
const READ_ONLY: JET_GRBIT = 0x1;
/// Bits of JetAttachDatabase that ask for upkeep which this engine does not need to do at attach.
const UPKEEP: JET_GRBIT = 0x800 | 0x1000;
/// JET_bitDbDeleteCorruptIndexes.
const DELETE_CORRUPT_INDEXES: JET_GRBIT = 0x10;
/// JET_bitDbDeleteUnicodeIndexes.
const DELETE_UNICODE_INDEXES: JET_GRBIT = 0x400;
/// JET_bitForceDetach and JET_bitForceCloseAndDetach.
const FORCE_DETACH: JET_GRBIT = 0x3;
/// JET_bitIdleCompact and JET_bitIdleStatus; JET_bitIdleFlushBuffers was never offered.
const IDLE_BITS: JET_GRBIT = 0x2 | 0x4;
/// Database parameters (JET_dbparam...), and the one for a limit of the size.
const DB_PARAMETERS: Range<u32> = 0x2001..0x200A;
const DB_SIZE_MAX_PAGES: u32 = 0x2001;

jet_api! {
    /// Begins a session. User name and password are from another age and ignored.
    fn JetBeginSessionA | JetBeginSession(
        instance: JET_INSTANCE, psesid: Out<JET_SESID>, szUserName: TextA, szPassword: TextA,
    ) {
        let _ = (szUserName, szPassword);
        begin(instance, psesid)
    }

    /// Begins a session. User name and password are from another age and ignored.
    fn JetBeginSessionW(
        instance: JET_INSTANCE, psesid: Out<JET_SESID>, szUserName: TextW, szPassword: TextW,
    ) {
        let _ = (szUserName, szPassword);
        begin(instance, psesid)
    }

    /// Begins another session of a session's instance.
    fn JetDupSession(sesid: JET_SESID, psesid: Out<JET_SESID>) {
        let session = PROCESS.sessions().find_serving(sesid)?;
        let place = psesid.required()?;
        place.set(PROCESS.sessions().begin(session.instance())?);
        Ok(())
    }

    /// Ends a session.
    fn JetEndSession(sesid: JET_SESID, grbit: JET_GRBIT) {
        // JET_bitForceSessionClosed is for tests of the original engine.
        if grbit & !1 != 0 {
            return Err(JetErr::InvalidGrbit.into());
        }
        PROCESS.sessions().end(sesid)
    }

    /// Lets the engine do pending work. It is never late: it does that in the background.
    fn JetIdle(sesid: JET_SESID, grbit: JET_GRBIT) {
        PROCESS.sessions().find_serving(sesid)?;
        if grbit & !IDLE_BITS != 0 {
            return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
        }
        Ok(())
    }

    /// Tells the version that this engine is compatible with.
    fn JetGetVersion(sesid: JET_SESID, pwVersion: Out<u32>) {
        let place = pwVersion.required()?;
        PROCESS.sessions().find_serving(sesid)?;
        place.set(VERSION);
        Ok(())
    }

    /// Attaches a database to the session's instance.
    fn JetAttachDatabaseA | JetAttachDatabase(sesid: JET_SESID, szFilename: TextA, grbit: JET_GRBIT) {
        attach(sesid, szFilename, 0, grbit)
    }

    /// Attaches a database to the session's instance.
    fn JetAttachDatabaseW(sesid: JET_SESID, szFilename: TextW, grbit: JET_GRBIT) {
        attach(sesid, szFilename, 0, grbit)
    }

    /// Attaches a database with a limit of its size in pages.
    fn JetAttachDatabase2A | JetAttachDatabase2(
        sesid: JET_SESID, szFilename: TextA, cpgDatabaseSizeMax: u32, grbit: JET_GRBIT,
    ) {
        attach(sesid, szFilename, cpgDatabaseSizeMax, grbit)
    }

    /// Attaches a database with a limit of its size in pages.
    fn JetAttachDatabase2W(
        sesid: JET_SESID, szFilename: TextW, cpgDatabaseSizeMax: u32, grbit: JET_GRBIT,
    ) {
        attach(sesid, szFilename, cpgDatabaseSizeMax, grbit)
    }

    /// Attaches a database with database parameters.
    fn JetAttachDatabase3A | JetAttachDatabase3(
        sesid: JET_SESID, szFilename: TextA, rgsetdbparam: Array<JET_SETDBPARAM>, csetdbparam: u32, grbit: JET_GRBIT,
    ) {
        let max_pages = database_parameters(rgsetdbparam, csetdbparam)?;
        attach(sesid, szFilename, max_pages, grbit)
    }

    /// Attaches a database with database parameters.
    fn JetAttachDatabase3W(
        sesid: JET_SESID, szFilename: TextW, rgsetdbparam: Array<JET_SETDBPARAM>, csetdbparam: u32, grbit: JET_GRBIT,
    ) {
        let max_pages = database_parameters(rgsetdbparam, csetdbparam)?;
        attach(sesid, szFilename, max_pages, grbit)
    }

    /// Detaches a database, or all of the instance when the name is null.
    fn JetDetachDatabaseA | JetDetachDatabase(sesid: JET_SESID, szFilename: TextA) {
        detach(sesid, szFilename, 0)
    }

    /// Detaches a database, or all of the instance when the name is null.
    fn JetDetachDatabaseW(sesid: JET_SESID, szFilename: TextW) {
        detach(sesid, szFilename, 0)
    }

    /// Detaches a database, with option bits.
    fn JetDetachDatabase2A | JetDetachDatabase2(sesid: JET_SESID, szFilename: TextA, grbit: JET_GRBIT) {
        detach(sesid, szFilename, grbit)
    }

    /// Detaches a database, with option bits.
    fn JetDetachDatabase2W(sesid: JET_SESID, szFilename: TextW, grbit: JET_GRBIT) {
        detach(sesid, szFilename, grbit)
    }

    /// Opens an attached database.
    fn JetOpenDatabaseA | JetOpenDatabase(
        sesid: JET_SESID, szFilename: TextA, szConnect: TextA, pdbid: Out<JET_DBID>, grbit: JET_GRBIT,
    ) {
        let _ = szConnect;
        open(sesid, szFilename, pdbid, grbit)
    }

    /// Opens an attached database.
    fn JetOpenDatabaseW(
        sesid: JET_SESID, szFilename: TextW, szConnect: TextW, pdbid: Out<JET_DBID>, grbit: JET_GRBIT,
    ) {
        let _ = szConnect;
        open(sesid, szFilename, pdbid, grbit)
    }

    /// Closes an open database.
    fn JetCloseDatabase(sesid: JET_SESID, dbid: JET_DBID, grbit: JET_GRBIT) {
        if grbit != 0 {
            return Err(JetErr::InvalidGrbit.into());
        }
        PROCESS.sessions().find(sesid)?.close_database(dbid)
    }
}

fn begin(instance: JET_INSTANCE, place: Out<JET_SESID>) -> Result<()> {
    let place = place.required()?;
    let entry = PROCESS.instance(instance)?;
    place.set(PROCESS.sessions().begin(&entry)?);
    Ok(())
}

/// A database's whole path.
pub(super) fn database_path<F: Form>(name: Text<F>) -> Result<PathBuf> {
    let path = required_path(name)?;
    std::path::absolute(&path).map_err(|e| Error::io(e, "find the whole path", &path))
}

/// The limit of a database's size that the parameters hold; 0 for none.
pub(super) fn database_parameters(parameters: Array<JET_SETDBPARAM>, count: u32) -> Result<u32> {
    let most = DB_PARAMETERS.end - DB_PARAMETERS.start;
    if count > most {
        return Err(Error::new(JetErr::InvalidParameter, format!("{count} parameters where {most} exist")));
    }
    let mut max_pages = 0;
    for parameter in parameters.read(count as usize)? {
        let number = parameter.dbparamid;
        if number == DB_SIZE_MAX_PAGES {
            // SAFETY: the memory belongs to the caller's structure and falls under its promise.
            let memory = unsafe { Bytes::new(parameter.pvParam) };
            max_pages = memory.read(parameter.cbParam).map(u32::from_le_bytes)?;
        } else if DB_PARAMETERS.contains(&number) {
            let what = format!("database parameter {number:#x} is not offered");
            return Err(Error::new(JetErr::FeatureNotAvailable, what));
        } else {
            let what = format!("there is no database parameter {number:#x}");
            return Err(Error::new(JetErr::InvalidDbparamId, what));
        }
    }
    Ok(max_pages)
}

fn attach<F: Form>(
    sesid: JET_SESID,
    name: Text<F>,
    max_pages: u32,
    grbit: JET_GRBIT,
) -> Result<Option<JetErr>> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    let path = database_path(name)?;
    let has = |bits: JET_GRBIT| grbit & bits != 0;
    if has(!(READ_ONLY | UPKEEP | DELETE_CORRUPT_INDEXES | DELETE_UNICODE_INDEXES)) {
        return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
    }
    let text_indexes =
        TextIndexes { delete_foreign: has(DELETE_CORRUPT_INDEXES), delete_all: has(DELETE_UNICODE_INDEXES) };
    session.attach(&path, AttachOptions { read_only: has(READ_ONLY), max_pages, text_indexes })
}

fn detach<F: Form>(sesid: JET_SESID, name: Text<F>, grbit: JET_GRBIT) -> Result<()> {
    let session = PROCESS.sessions().find(sesid)?;
    if grbit & !FORCE_DETACH != 0 {
        return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
    }
    if grbit != 0 {
        // As the published engine answers to all callers.
        return Err(Error::new(JetErr::ForceDetachNotAllowed, "detaching by force is not offered"));
    }
    match path(name)? {
        Some(path) if !path.as_os_str().is_empty() => {
            let path = std::path::absolute(&path).map_err(|e| Error::io(e, "find the whole path", &path))?;
            session.detach(Some(&path))
        }
        _ => session.detach(None),
    }
}

fn open<F: Form>(sesid: JET_SESID, name: Text<F>, place: Out<JET_DBID>, grbit: JET_GRBIT) -> Result<()> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    let place = place.required()?;
    let path = database_path(name)?;
    if grbit & !READ_ONLY != 0 {
        return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
    }
    place.set(session.open_database(&path, grbit)?);
    Ok(())
}
