//! Whether redo has to apply a record to a page.

use crate::error::{Error, JetErr, Result};
use ese_format::DbTime;
use ese_format::page::Page;

/// What redo has to do with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Redo {
    /// The page holds the operation already.
    Done,
    /// The operation is to be applied.
    Needed,
}

/// dbtimes of pages that are none: "shrunk" and "reverted" pages and the two absent markers.
const FIRST_SPECIAL: u64 = u64::MAX - 3;

/// Decides by the dbtimes of a record whether it must be applied to a page.
///
/// `page` is `None` for a page that was never written or cannot be read. `before` is absent
/// ([`DbTime::NIL`], [`DbTime::INVALID`]) where the operation formats the page anew. `page_number` only
/// names the page in errors.
///
/// # Errors
/// JET_errDbTimeTooOld when the page lacks an earlier change: a lost write or a missing log;
/// JET_errDbTimeTooNew when it has one that the log does not know; JET_errLogCorrupted for a record whose
/// times contradict each other.
pub fn redo_decision(
    page_number: ese_format::PageNumber,
    page: Option<&Page<'_>>,
    before: DbTime,
    after: DbTime,
) -> Result<Redo> {
    if after.0 >= FIRST_SPECIAL || (before.is_recorded() && before >= after) {
        return Err(super::mismatch(page_number, format!("a record goes from dbtime {before} to {after}")));
    }
    let time = page.map_or(DbTime(0), Page::db_time);
    let is_special = time.0 >= FIRST_SPECIAL;
    if !is_special && time >= after {
        return Ok(Redo::Done);
    }
    if !before.is_recorded() {
        return Ok(Redo::Needed);
    }
    if is_special || time < before {
        let error = Error::new(
            JetErr::DbTimeTooOld,
            format!("the page is of dbtime {time}, the log changes it from {before} to {after}"),
        );
        return Err(error.page(page_number));
    }
    if time > before {
        let error = Error::new(
            JetErr::DbTimeTooNew,
            format!("the page is of dbtime {time}, the log changes it from {before} to {after}"),
        );
        return Err(error.page(page_number));
    }
    Ok(Redo::Needed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_format::page::{NewPage, PageFlags, PageMut};
    use ese_format::{ObjectId, PageNumber, PageSize};

    #[test]
    fn the_rule_of_dbtimes() {
        let decide = |time: Option<u64>, before: u64, after: u64| {
            let mut bytes = vec![0; 4096];
            let number = PageNumber(5);
            if let Some(time) = time {
                let new = NewPage {
                    number,
                    object: ObjectId(1),
                    db_time: DbTime(time),
                    flags: PageFlags::LEAF,
                    reserved_tags: false,
                };
                PageMut::format(&mut bytes, PageSize::K4, new).unwrap();
            }
            let page = Page::new(&bytes, PageSize::K4).unwrap();
            redo_decision(number, time.is_some().then_some(&page), DbTime(before), DbTime(after))
                .map_err(|e| e.code())
        };
        const NIL: u64 = u64::MAX;
        assert_eq!(decide(Some(9), 9, 12), Ok(Redo::Needed));
        assert_eq!(decide(Some(12), 9, 12), Ok(Redo::Done));
        assert_eq!(decide(Some(13), 9, 12), Ok(Redo::Done));
        assert_eq!(decide(Some(8), 9, 12), Err(JetErr::DbTimeTooOld));
        assert_eq!(decide(None, 9, 12), Err(JetErr::DbTimeTooOld));
        assert_eq!(decide(Some(10), 9, 12), Err(JetErr::DbTimeTooNew));
        // New pages: whatever is older is formatted anew.
        assert_eq!(decide(Some(11), NIL, 12), Ok(Redo::Needed));
        assert_eq!(decide(Some(11), NIL - 1, 12), Ok(Redo::Needed));
        assert_eq!(decide(None, NIL, 12), Ok(Redo::Needed));
        assert_eq!(decide(Some(12), NIL, 12), Ok(Redo::Done));
        // Shrunk and reverted pages hold nothing.
        for special in [NIL - 2, NIL - 3] {
            assert_eq!(decide(Some(special), 9, 12), Err(JetErr::DbTimeTooOld));
            assert_eq!(decide(Some(special), NIL, 12), Ok(Redo::Needed));
        }
        assert_eq!(decide(Some(9), 12, 12), Err(JetErr::LogCorrupted));
        assert_eq!(decide(Some(9), 9, NIL), Err(JetErr::LogCorrupted));
    }
}
