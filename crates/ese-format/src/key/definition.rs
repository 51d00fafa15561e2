//! How an index makes its keys.

use super::{DEFAULT_KEY_MOST, KeyError, MAX_COLUMNS};
use crate::catalog::{Index, IndexFlags, KeySegment, SegmentFlags, TupleLimits};
use crate::column::{CODE_PAGE_UNICODE, Column, ColumnFlags, ColumnId, ColumnPlace, ColumnType};
use crate::error::FormatError;
use crate::sort_key::{Collator, MapFlags, Standing, judge};

/// One column of an index, as far as keys need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    /// The number in the table.
    pub id: ColumnId,
    /// The type.
    pub column_type: ColumnType,
    /// The code page of text.
    pub code_page: u16,
    /// Fixed columns: the byte offset in the record.
    pub offset: u16,
    /// Fixed columns: the bytes in the record.
    pub size: usize,
    /// The column is one of the template table's.
    pub inherited: bool,
    /// Larger values come first.
    pub descending: bool,
    /// The column may hold several values.
    pub multi_valued: bool,
    /// Stands for a column of the primary index that is gone.
    pub placeholder: bool,
    /// The value of records that have none.
    pub default: Option<Box<[u8]>>,
}

impl KeyColumn {
    fn new(segment: &KeySegment, columns: &[Column]) -> Result<Self, KeyError> {
        let inherited = segment.flags.contains(SegmentFlags::TEMPLATE);
        // The template table's own indexes name its columns as the template's, too.
        let column = columns
            .iter()
            .find(|column| column.id == segment.column && column.inherited == inherited)
            .or_else(|| columns.iter().find(|column| column.id == segment.column))
            .ok_or_else(|| {
                FormatError::corrupt(format!("an index has the unknown column {}", segment.column))
            })?;
        Ok(Self {
            id: column.id,
            column_type: column.column_type,
            code_page: column.code_page,
            offset: column.offset,
            size: column.stored_size(),
            inherited: column.inherited,
            descending: segment.flags.contains(SegmentFlags::DESCENDING),
            multi_valued: column.flags.contains(ColumnFlags::MULTI_VALUED)
                && column.place() == ColumnPlace::Tagged,
            placeholder: column.flags.contains(ColumnFlags::PRIMARY_PLACEHOLDER),
            default: column.default.clone(),
        })
    }

    /// Whether values stand at a fixed place of records.
    pub(super) fn is_fixed(&self) -> bool {
        self.id.place() == Some(ColumnPlace::Fixed)
    }

    /// Whether the values are bytes.
    pub(super) const fn is_binary(&self) -> bool {
        matches!(self.column_type, ColumnType::Binary | ColumnType::LongBinary)
    }

    /// Whether the values are Unicode text.
    pub(super) const fn is_unicode(&self) -> bool {
        self.column_type.is_text() && self.code_page == CODE_PAGE_UNICODE
    }

    /// The bytes of a character.
    pub(super) const fn char_size(&self) -> usize {
        if self.is_unicode() { 2 } else { 1 }
    }
}

/// How an index makes its keys, put together once from the schema.
#[derive(Debug, Clone)]
pub struct KeyDefinition {
    pub(super) columns: Vec<KeyColumn>,
    /// Columns and whether they must be NULL (or must not).
    pub(super) conditions: Vec<(KeyColumn, bool)>,
    pub(super) flags: IndexFlags,
    /// The longest key.
    pub(super) key_most: usize,
    /// The longest segment, one more than the longest key if segments have no limit of their own.
    pub(super) segment_max: usize,
    pub(super) tuples: Option<TupleLimits>,
    /// What maps Unicode text; `None` if there is none or its sort is foreign.
    pub(super) collator: Option<Collator>,
    /// What the index can be used for, if it has Unicode text.
    standing: Option<Standing>,
}

impl KeyDefinition {
    /// Looks up the columns of an index of a table and judges the version of its sort.
    ///
    /// # Errors
    /// [`KeyError::Format`] when the index contradicts itself or the table.
    pub fn new(index: &Index, columns: &[Column]) -> Result<Self, KeyError> {
        let corrupt =
            |text: &str| KeyError::Format(FormatError::corrupt(format!("index {}: {text}", index.name)));
        if index.key.is_empty() || index.key.len().max(index.conditions.len()) > MAX_COLUMNS {
            return Err(corrupt("impossible number of columns"));
        }
        let key_most = usize::from(index.key_most);
        if key_most == 0 {
            return Err(corrupt("keys without length"));
        }
        let segment_max = match index.segment_max.map(usize::from) {
            Some(0) => return Err(corrupt("segments without length")),
            Some(limit) if limit < key_most => limit,
            _ => key_most + 1,
        };
        let key = index.key.iter().map(|segment| KeyColumn::new(segment, columns));
        let key = key.collect::<Result<Vec<_>, _>>()?;
        let conditions = index.conditions.iter().map(|segment| {
            Ok((KeyColumn::new(segment, columns)?, segment.flags.contains(SegmentFlags::MUST_BE_NULL)))
        });
        let conditions = conditions.collect::<Result<Vec<_>, KeyError>>()?;
        if let Some(tuples) = &index.tuple_limits {
            let is_text_or_binary = key.first().is_some_and(|c| c.column_type.is_text() || c.is_binary());
            if tuples.min_len == 0
                || tuples.min_len > tuples.max_len
                || tuples.increment == 0
                || !is_text_or_binary
            {
                return Err(corrupt("impossible limits of tuples"));
            }
        }
        let mut standing = None;
        let mut collator = None;
        if key.iter().any(KeyColumn::is_unicode) {
            let flags = MapFlags::check(index.map_flags);
            let judged = match flags {
                Ok(flags) => judge(index.sort_version, index.sort_id.as_ref(), flags),
                Err(_) => Standing::Bad,
            };
            if let (Standing::Good(sort), Ok(flags)) = (judged, flags) {
                collator = Collator::new(sort, flags).ok();
            }
            standing = Some(judged);
        }
        Ok(Self {
            columns: key,
            conditions,
            flags: index.flags,
            key_most,
            segment_max,
            tuples: index.tuple_limits,
            collator,
            standing,
        })
    }

    /// What the index can be used for; `None` when it has no Unicode text, so that no sort matters.
    pub fn standing(&self) -> Option<Standing> {
        self.standing
    }

    /// The columns of the key.
    pub fn columns(&self) -> &[KeyColumn] {
        &self.columns
    }

    /// The longest key in bytes.
    pub fn key_most(&self) -> usize {
        self.key_most
    }

    /// Flags of the index.
    pub fn flags(&self) -> IndexFlags {
        self.flags
    }

    /// Whether a segment may be shorter than its value although the key has room.
    pub(super) fn has_segment_limit(&self) -> bool {
        self.segment_max < self.key_most
    }

    /// Whether keys follow the rules of the old limit.
    pub(super) fn is_old(&self) -> bool {
        self.key_most == DEFAULT_KEY_MOST
    }
}
