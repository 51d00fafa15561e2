//! The C API's types.

#[rustfmt::skip]
mod categories;
#[rustfmt::skip]
mod layouts;

pub(crate) use categories::CATEGORIES;

pub use layouts::*;

pub use std::ffi::c_void;

/// A result: 0, a negative error or a positive warning.
pub type JET_ERR = i32;
/// An instance; opaque.
pub type JET_INSTANCE = usize;
/// A session; opaque.
pub type JET_SESID = usize;
/// A snapshot; opaque.
pub type JET_OSSNAPID = usize;
/// A file handle of a backup; opaque.
pub type JET_HANDLE = usize;
/// A pointer-sized integer.
pub type JET_API_PTR = usize;
/// A database.
pub type JET_DBID = u32;
/// A cursor on a table; opaque.
pub type JET_TABLEID = usize;
/// A column of a table.
pub type JET_COLUMNID = u32;
/// The type of a column.
pub type JET_COLTYP = u32;
/// The type of an object of a database.
pub type JET_OBJTYP = u32;
/// The type of a callback.
pub type JET_CBTYP = u32;
/// A point in time as days since 1900.
pub type JET_DATESERIAL = f64;
/// How clients allocate, change and release memory.
pub type JET_PFNREALLOC =
    Option<unsafe extern "C" fn(context: *mut c_void, memory: *mut c_void, bytes: u32) -> *mut c_void>;
/// Option bits.
pub type JET_GRBIT = u32;
/// A category of errors.
pub type JET_ERRCAT = u32;
/// The operation that a status callback is about.
pub type JET_SNP = u32;
/// How far that operation is.
pub type JET_SNT = u32;
/// A status callback.
pub type JET_PFNSTATUS =
    Option<unsafe extern "C" fn(sesid: JET_SESID, snp: JET_SNP, snt: JET_SNT, pv: *mut c_void) -> JET_ERR>;
/// A callback about something that happens in the background or to a cursor.
pub type JET_CALLBACK = Option<
    unsafe extern "C" fn(
        sesid: JET_SESID,
        dbid: JET_DBID,
        tableid: JET_TABLEID,
        cbtyp: JET_CBTYP,
        pvArg1: *mut c_void,
        pvArg2: *mut c_void,
        pvContext: *mut c_void,
        ulUnused: JET_API_PTR,
    ) -> JET_ERR,
>;
/// A status callback with a context.
pub type JET_PFNINITCALLBACK = Option<
    unsafe extern "C" fn(snp: JET_SNP, snt: JET_SNT, pv: *mut c_void, context: *mut c_void) -> JET_ERR,
>;

/// No instance.
pub const JET_INSTANCE_NIL: JET_INSTANCE = usize::MAX;
/// No cursor.
pub const JET_TABLEID_NIL: JET_TABLEID = usize::MAX;
/// No session.
pub const JET_SESID_NIL: JET_SESID = usize::MAX;
