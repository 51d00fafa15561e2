//! What a system parameter is, as data.

use super::ParamId;

/// What kind of value a parameter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A number.
    Integer,
    /// 0 or 1; every other number counts as 1.
    Boolean,
    /// A number with a single bit set.
    PowerOfTwo,
    /// A pointer or function pointer of the C API; the engine keeps the number and never follows it.
    Opaque,
    /// Text.
    Text,
    /// A folder's path.
    Folder,
    /// A file's path.
    File,
}

impl Type {
    /// Whether the value is text.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Folder | Self::File)
    }
}

/// Whom a parameter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The process: all instances see one value.
    Global,
    /// One instance.
    Instance,
    /// One session.
    Session,
}

/// When a parameter may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settable {
    /// At any time.
    Anytime,
    /// Until its instance is initialised.
    BeforeInit,
    /// Until the first instance of the process exists.
    BeforeFirstInstance,
    /// Never: it tells a fact.
    Never,
}

/// What setting a parameter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// The value is checked, kept and used.
    Normal,
    /// The value is checked, kept, read back, and has no effect.
    Ignored,
    /// A rule of its own on top of its range.
    Custom,
    /// It cannot be set.
    ReadOnly,
}

/// A parameter's value before anybody sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// A number (or opaque value).
    Integer(u64),
    /// A text.
    Text(&'static str),
}

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// Its number.
    pub id: ParamId,
    /// Its symbol in C.
    pub name: &'static str,
    /// Its kind of value.
    pub kind: Type,
    /// Whom it belongs to.
    pub scope: Scope,
    /// Its documented default.
    pub default: Default,
    /// Its default in the low-memory configuration, where that differs.
    pub low_memory: Option<u64>,
    /// Least value, or least length of a text in UTF-16 units.
    pub min: u64,
    /// Greatest value, or greatest length of a text in UTF-16 units without its end.
    pub max: u64,
    /// When it may be set.
    pub settable: Settable,
    /// What setting it does.
    pub handling: Handling,
}

impl Definition {
    /// The greatest value or length that this engine accepts. Paths may be longer than Windows' 260
    /// units: up to 1,000, with room for a file name where the parameter is a folder.
    pub fn limit(&self) -> u64 {
        match self.kind {
            Type::Folder if self.max > 0 => super::PATH_UNITS_MOST - 14,
            Type::File => super::PATH_UNITS_MOST,
            _ => self.max,
        }
    }
}
