//! Making databases.

use super::session::{database_parameters, database_path};
use crate::border::jet_api;
use crate::pointer::{Array, Form, Out, Text, TextA, TextW};
use crate::process::PROCESS;
use crate::types::*;
use ese::database::CreateOptions;
use ese::{Error, JetErr, Result};

/// JET_bitDbRecoveryOff.
const RECOVERY_OFF: JET_GRBIT = 0x8;
/// JET_bitDbShadowingOff: the catalog's second copy is kept all the same.
const SHADOWING_OFF: JET_GRBIT = 0x80;
/// JET_bitDbOverwriteExisting.
const OVERWRITE: JET_GRBIT = 0x200;

jet_api! {
    /// Makes a database, attaches and opens it.
    fn JetCreateDatabaseA | JetCreateDatabase(
        sesid: JET_SESID, szFilename: TextA, szConnect: TextA, pdbid: Out<JET_DBID>, grbit: JET_GRBIT,
    ) {
        let _ = szConnect;
        create(sesid, szFilename, 0, pdbid, grbit)
    }

    /// Makes a database, attaches and opens it.
    fn JetCreateDatabaseW(
        sesid: JET_SESID, szFilename: TextW, szConnect: TextW, pdbid: Out<JET_DBID>, grbit: JET_GRBIT,
    ) {
        let _ = szConnect;
        create(sesid, szFilename, 0, pdbid, grbit)
    }

    /// Makes a database with a limit of its size in pages.
    fn JetCreateDatabase2A | JetCreateDatabase2(
        sesid: JET_SESID, szFilename: TextA, cpgDatabaseSizeMax: u32, pdbid: Out<JET_DBID>, grbit: JET_GRBIT,
    ) {
        create(sesid, szFilename, cpgDatabaseSizeMax, pdbid, grbit)
    }

    /// Makes a database with a limit of its size in pages.
    fn JetCreateDatabase2W(
        sesid: JET_SESID, szFilename: TextW, cpgDatabaseSizeMax: u32, pdbid: Out<JET_DBID>, grbit: JET_GRBIT,
    ) {
        create(sesid, szFilename, cpgDatabaseSizeMax, pdbid, grbit)
    }

    /// Makes a database with database parameters.
    fn JetCreateDatabase3A | JetCreateDatabase3(
        sesid: JET_SESID, szFilename: TextA, pdbid: Out<JET_DBID>, rgsetdbparam: Array<JET_SETDBPARAM>,
        csetdbparam: u32, grbit: JET_GRBIT,
    ) {
        let max_pages = database_parameters(rgsetdbparam, csetdbparam)?;
        create(sesid, szFilename, max_pages, pdbid, grbit)
    }

    /// Makes a database with database parameters.
    fn JetCreateDatabase3W(
        sesid: JET_SESID, szFilename: TextW, pdbid: Out<JET_DBID>, rgsetdbparam: Array<JET_SETDBPARAM>,
        csetdbparam: u32, grbit: JET_GRBIT,
    ) {
        let max_pages = database_parameters(rgsetdbparam, csetdbparam)?;
        create(sesid, szFilename, max_pages, pdbid, grbit)
    }
}

fn create<F: Form>(
    sesid: JET_SESID,
    name: Text<F>,
    max_pages: u32,
    place: Out<JET_DBID>,
    grbit: JET_GRBIT,
) -> Result<()> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    let place = place.required()?;
    let path = database_path(name)?;
    if grbit & !(RECOVERY_OFF | SHADOWING_OFF | OVERWRITE) != 0 {
        return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
    }
    if session.transaction_level()? > 0 {
        return Err(Error::new(JetErr::InTransaction, "no database is made within a transaction"));
    }
    let options = CreateOptions {
        grbit,
        max_pages,
        overwrite: grbit & OVERWRITE != 0,
        is_logged: grbit & RECOVERY_OFF == 0,
        ..CreateOptions::default()
    };
    place.set(session.create_database(&path, options)?);
    Ok(())
}
