//! What a session carries: a client's context and session parameters.

use crate::border::jet_api;
use crate::pointer::{Bytes, Out};
use crate::process::PROCESS;
use crate::types::*;
use ese::{Error, JetErr, Result};

/// Session parameters (JET_sesparam...).
const COMMIT_DEFAULT: u32 = 0x1001;
const TRANSACTION_LEVEL: u32 = 0x1003;
const OPERATION_CONTEXT: u32 = 0x1004;
const CORRELATION: u32 = 0x1005;

/// Bits that a commit takes: lazy flush, wait for the session's last or for all commits, new log.
const COMMIT_BITS: JET_GRBIT = 0x1 | 0x2 | 0x8 | 0x10;

jet_api! {
    /// Ties a session to a context of the client instead of to a thread.
    fn JetSetSessionContext(sesid: JET_SESID, ulContext: JET_API_PTR) {
        let session = PROCESS.sessions().find_serving(sesid)?;
        if ulContext == 0 || ulContext == JET_API_PTR::MAX {
            return Err(Error::new(JetErr::InvalidParameter, "this context is reserved"));
        }
        session.set_context(ulContext)
    }

    /// Unties a session from the context that this thread tied it to.
    fn JetResetSessionContext(sesid: JET_SESID) {
        PROCESS.sessions().find(sesid)?.reset_context()
    }

    /// Sets a parameter of a session.
    fn JetSetSessionParameter(sesid: JET_SESID, sesparamid: u32, pvParam: Bytes, cbParam: u32) {
        let session = PROCESS.sessions().find_serving(sesid)?;
        match sesparamid {
            COMMIT_DEFAULT => {
                let bits = number(pvParam, cbParam)?;
                if bits & !COMMIT_BITS != 0 {
                    return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {bits:#x}")));
                }
                session.settings().lock().commit_default = bits;
            }
            CORRELATION => session.settings().lock().correlation = number(pvParam, cbParam)?,
            OPERATION_CONTEXT => session.settings().lock().operation = pvParam.read(cbParam)?,
            TRANSACTION_LEVEL => {
                return Err(Error::new(JetErr::InvalidParameter, "this parameter is only read"));
            }
            _ => return Err(unknown(sesparamid)),
        }
        Ok(())
    }

    /// Reads a parameter of a session.
    fn JetGetSessionParameter(
        sesid: JET_SESID, sesparamid: u32, pvParam: Bytes, cbParamMax: u32, pcbParamActual: Out<u32>,
    ) {
        let session = PROCESS.sessions().find_serving(sesid)?;
        let settings = *session.settings().lock();
        let bytes = match sesparamid {
            COMMIT_DEFAULT => settings.commit_default.to_le_bytes().to_vec(),
            CORRELATION => settings.correlation.to_le_bytes().to_vec(),
            OPERATION_CONTEXT => settings.operation.to_vec(),
            TRANSACTION_LEVEL => u32::from(session.transaction_level()?).to_le_bytes().to_vec(),
            _ => return Err(unknown(sesparamid)),
        };
        pcbParamActual.set(bytes.len() as u32);
        if !pvParam.is_some() {
            // Asking for the size alone.
            return if cbParamMax == 0 { Ok(()) } else { Err(JetErr::InvalidParameter.into()) };
        }
        if (cbParamMax as usize) < bytes.len() {
            return Err(Error::new(JetErr::InvalidBufferSize, "the parameter does not fit"));
        }
        pvParam.fill(&bytes, cbParamMax);
        Ok(())
    }
}

fn number(memory: Bytes, length: u32) -> Result<u32> {
    memory.read(length).map(u32::from_le_bytes)
}

fn unknown(number: u32) -> Error {
    Error::new(JetErr::InvalidSesparamId, format!("there is no session parameter {number:#x}"))
}
