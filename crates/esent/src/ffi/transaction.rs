//! Transactions.

use crate::border::jet_api;
use crate::pointer::Out;
use crate::process::PROCESS;
use crate::types::*;
use ese::{Error, JetErr, Result};

/// JET_bitTransactionReadOnly.
const READ_ONLY: JET_GRBIT = 0x1;
/// JET_bitCommitLazyFlush.
const LAZY: JET_GRBIT = 0x1;
/// JET_bitWaitLastLevel0Commit and JET_bitWaitAllLevel0Commit.
const WAITS: [JET_GRBIT; 2] = [0x2, 0x8];
/// JET_bitForceNewLog.
const NEW_LOG: JET_GRBIT = 0x10;
/// JET_bitRollbackAll.
const ALL: JET_GRBIT = 0x1;

jet_api! {
    /// Begins a transaction, or a level of it.
    fn JetBeginTransaction(sesid: JET_SESID) {
        begin(sesid, 0)
    }

    /// Begins a transaction with option bits.
    fn JetBeginTransaction2(sesid: JET_SESID, grbit: JET_GRBIT) {
        begin(sesid, grbit)
    }

    /// Begins a transaction with a number by which traces name it.
    fn JetBeginTransaction3(sesid: JET_SESID, trxid: i64, grbit: JET_GRBIT) {
        tracing::trace!(target: "esent", trxid, "a transaction begins");
        begin(sesid, grbit)
    }

    /// Commits the innermost level.
    fn JetCommitTransaction(sesid: JET_SESID, grbit: JET_GRBIT) {
        commit(sesid, grbit, false)
    }

    /// Commits the innermost level, durable after some time at the latest: here, at once.
    fn JetCommitTransaction2(
        sesid: JET_SESID, grbit: JET_GRBIT, cmsecDurableCommit: u32, pCommitId: Out<JET_COMMIT_ID>,
    ) {
        if pCommitId.is_some() {
            return Err(Error::new(JetErr::FeatureNotAvailable, "commits have no ids"));
        }
        commit(sesid, grbit, cmsecDurableCommit != 0)
    }

    /// Rolls the innermost level back, or all of them.
    fn JetRollback(sesid: JET_SESID, grbit: JET_GRBIT) {
        let session = PROCESS.sessions().find(sesid)?;
        if grbit & !ALL != 0 {
            return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
        }
        session.rollback_transaction(grbit & ALL != 0)
    }
}

fn begin(sesid: JET_SESID, grbit: JET_GRBIT) -> Result<()> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    if grbit & !READ_ONLY != 0 {
        return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
    }
    session.begin_transaction(grbit & READ_ONLY != 0)
}

fn commit(sesid: JET_SESID, grbit: JET_GRBIT, at_once: bool) -> Result<()> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    if WAITS.contains(&grbit) {
        return session.flush_commits(false);
    }
    if grbit & !(LAZY | NEW_LOG) != 0 {
        return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
    }
    let grbit = if grbit == 0 { session.settings().lock().commit_default } else { grbit };
    session.commit_transaction(grbit & LAZY != 0 && !at_once)?;
    if grbit & NEW_LOG != 0 && session.transaction_level()? == 0 {
        session.flush_commits(true)?;
    }
    Ok(())
}
