//! How the records of a table are taken apart, worked out once per table.

use super::value::Form;
use ese_format::catalog::TableSchema;
use ese_format::column::{Column, ColumnFlags, ColumnId, ColumnPlace};
use ese_format::error::FormatError;
use ese_format::record::{Field, Piece, Record, Stored, TaggedValue};

/// In which order the columns of a row are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// By name, code point by code point.
    Name,
    /// By number, inherited columns first.
    Number,
}

/// One column.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The name.
    pub(crate) name: String,
    /// The name in JSON with its colon.
    pub(crate) key: Vec<u8>,
    /// How values are written.
    pub(crate) form: Form,
    id: ColumnId,
    place: ColumnPlace,
    offset: usize,
    size: usize,
    default: Option<Box<[u8]>>,
}

/// The columns of a table in the order in which they are written.
#[derive(Debug)]
pub(crate) struct Plan {
    slots: Vec<Slot>,
    /// Slots that any record may have a value for: fixed, variable and those with defaults.
    always: Vec<u32>,
    /// The slots of tagged columns by number less 256, plus one; own columns, then inherited ones.
    tagged: [Vec<u32>; 2],
}

/// The tagged fields of the record at hand: slot and index in the record.
pub(crate) type Scratch = Vec<(u32, u32)>;

impl Plan {
    pub(crate) fn new(schema: &TableSchema, order: Order) -> Self {
        let mut columns: Vec<&Column> = schema.columns.iter().collect();
        if order == Order::Name {
            columns.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let mut plan = Self { slots: Vec::new(), always: Vec::new(), tagged: [Vec::new(), Vec::new()] };
        for (rank, column) in (0u32..).zip(columns) {
            plan.add(rank, column);
        }
        plan
    }

    fn add(&mut self, rank: u32, column: &Column) {
        let place = column.place();
        let default = match column.flags.contains(ColumnFlags::USER_DEFAULT) {
            true => None,
            false => column.default.clone(),
        };
        if place != ColumnPlace::Tagged || default.is_some() {
            self.always.push(rank);
        }
        if place == ColumnPlace::Tagged {
            let table = &mut self.tagged[usize::from(column.inherited)];
            let index = usize::from(column.id.0 - ColumnId::FIRST_TAGGED.0);
            if table.len() <= index {
                table.resize(index + 1, 0);
            }
            table[index] = rank + 1;
        }
        let mut key = Vec::with_capacity(column.name.len() + 3);
        key.push(b'"');
        column.name.chars().for_each(|c| super::text::json_character(c, &mut key));
        key.extend_from_slice(b"\":");
        self.slots.push(Slot {
            name: column.name.clone(),
            key,
            form: Form::of(column),
            id: column.id,
            place,
            offset: column.offset.into(),
            size: column.stored_size(),
            default,
        });
    }

    /// The columns in order.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Gives every column that is not NULL to `each`, in order, with what the record or the default says,
    /// or with what is wrong with it.
    pub(crate) fn visit<E>(
        &self,
        record: &Record<'_>,
        scratch: &mut Scratch,
        mut each: impl FnMut(usize, Result<Stored<'_>, FormatError>) -> Result<(), E>,
    ) -> Result<(), E> {
        scratch.clear();
        let area = record.tagged();
        for (index, field) in (0u32..).zip((0..area.len()).map(|index| area.number(index))) {
            let Some((id, inherited)) = field else { break };
            let known = id.0.checked_sub(ColumnId::FIRST_TAGGED.0).map(usize::from);
            let slot = known.and_then(|at| self.tagged[usize::from(inherited)].get(at)).copied().unwrap_or(0);
            // Fields of columns that were deleted have no slot.
            if let Some(rank) = slot.checked_sub(1) {
                scratch.push((rank, index));
            }
        }
        scratch.sort_unstable();
        let mut tagged = scratch.iter().peekable();
        for &rank in &self.always {
            while let Some(&(rank, index)) = tagged.next_if(|field| field.0 < rank) {
                self.visit_tagged(record, rank, index, &mut each)?;
            }
            if let Some(&(rank, index)) = tagged.next_if(|field| field.0 == rank) {
                self.visit_tagged(record, rank, index, &mut each)?;
                continue;
            }
            let slot = &self.slots[rank as usize];
            let field = match slot.place {
                ColumnPlace::Fixed => record.fixed(slot.id, slot.offset, slot.size),
                ColumnPlace::Variable => record.variable(slot.id),
                ColumnPlace::Tagged => Ok(Field::Absent),
            };
            let value = match (field, &slot.default) {
                (Ok(Field::Null), _) | (Ok(Field::Absent), None) => continue,
                (Ok(Field::Absent), Some(default)) => Ok(Stored::Single(Piece::plain(default))),
                (field, _) => field.map(Stored::from),
            };
            each(rank as usize, value)?;
        }
        for &(rank, index) in tagged {
            self.visit_tagged(record, rank, index, &mut each)?;
        }
        Ok(())
    }

    fn visit_tagged<E>(
        &self,
        record: &Record<'_>,
        rank: u32,
        index: u32,
        each: &mut impl FnMut(usize, Result<Stored<'_>, FormatError>) -> Result<(), E>,
    ) -> Result<(), E> {
        let value = record.tagged().field(index as usize).and_then(|field| field.value());
        let stored = match value {
            Ok(TaggedValue::Null) => return Ok(()),
            Ok(TaggedValue::Single(piece)) => Ok(Stored::Single(piece)),
            Ok(TaggedValue::Multi(values)) => Ok(Stored::Multi(values)),
            Err(error) => Err(error),
        };
        each(rank as usize, stored)
    }
}
