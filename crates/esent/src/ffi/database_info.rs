//! What an open database says about itself.

use super::file_info::misc;
use crate::border::jet_api;
use crate::pointer::{Bytes, Form, Narrow, Wide};
use crate::process::{OpenDatabase, PROCESS};
use crate::text::{deliver_text, to_text};
use crate::types::*;
use ese::offline::OfflineDatabase;
use ese::{Error, JetErr, Result};
use ese_vfs::RealDisk;

/// Levels (JET_DbInfo...).
const FILE_NAME: u32 = 0;
const OPTIONS: u32 = 6;
const VERSION: u32 = 8;
const FILE_SIZE: u32 = 10;
const SPACE_OWNED: u32 = 11;
const MISC: u32 = 14;
const PAGE_SIZE: u32 = 17;
const FILE_TYPE: u32 = 19;

/// Sizes of JET_DBINFOMISC and its three longer forms.
const MISC_SIZES: [u32; 4] = [216, 296, 300, 348];

/// Pages of the file before the first of the database.
const HEADER_PAGES: u32 = 2;

jet_api! {
    /// Tells about a database that the session has open.
    fn JetGetDatabaseInfoA | JetGetDatabaseInfo(
        sesid: JET_SESID, dbid: JET_DBID, pvResult: Bytes, cbMax: u32, InfoLevel: u32,
    ) {
        info::<Narrow>(sesid, dbid, pvResult, cbMax, InfoLevel)
    }

    /// Tells about a database that the session has open.
    fn JetGetDatabaseInfoW(sesid: JET_SESID, dbid: JET_DBID, pvResult: Bytes, cbMax: u32, InfoLevel: u32) {
        info::<Wide>(sesid, dbid, pvResult, cbMax, InfoLevel)
    }
}

fn info<F: Form>(sesid: JET_SESID, dbid: JET_DBID, result: Bytes, length: u32, level: u32) -> Result<()> {
    let database = PROCESS.sessions().find_serving(sesid)?.open_database_facts(dbid)?;
    if !result.is_some() {
        return Err(Error::new(JetErr::InvalidParameter, "there is no place for the result"));
    }
    if level == FILE_NAME {
        return deliver_text::<F>(to_text(&database.path)?, result, length);
    }
    let sizes: &[u32] = match level {
        MISC => &MISC_SIZES,
        OPTIONS | VERSION | FILE_SIZE | SPACE_OWNED | PAGE_SIZE | FILE_TYPE => &[4],
        _ => return Err(Error::new(JetErr::InvalidParameter, format!("level {level} is not supported"))),
    };
    if !sizes.contains(&length) {
        return Err(Error::new(JetErr::InvalidBufferSize, format!("{length} bytes for level {level}")));
    }
    let number = match level {
        MISC => {
            result.fill(&misc(&database.header), length);
            return Ok(());
        }
        OPTIONS => database.options,
        VERSION => database.header.format_version,
        PAGE_SIZE => database.header.page_size.bytes() as u32,
        FILE_TYPE => database.header.file_type,
        FILE_SIZE => owned_pages(&database)?.saturating_add(HEADER_PAGES),
        _ => owned_pages(&database)?,
    };
    result.fill(&number.to_le_bytes(), length);
    Ok(())
}

/// A database owns all pages up to the last that it owns.
fn owned_pages(database: &OpenDatabase) -> Result<u32> {
    Ok(OfflineDatabase::open(&RealDisk::new(), &database.path)?.last_owned_page()?.0)
}
