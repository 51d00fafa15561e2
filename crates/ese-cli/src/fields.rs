//! Named values in order: how headers and summaries are shown, as text and as JSON.

use ese_format::database::DatabaseState;
use ese_format::{
    BackupInfo, DbTime, Generation, LogPosition, LogTime, ObjectId, PageNumber, PageSize, Signature,
};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::io::{self, Write};

/// A value to show.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Not set; `-` in text, `null` in JSON.
    Absent,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(i128),
    /// A text.
    Text(String),
    /// Named values of its own.
    Group(Fields),
    /// Several values.
    List(Vec<Value>),
}

/// Named values in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a value.
    pub(crate) fn add(&mut self, name: &'static str, value: impl Into<Value>) -> &mut Self {
        self.0.push((name, value.into()));
        self
    }

    /// Writes one `name: value` a line, nested values indented.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_indented(out, 0)
    }

    fn write_indented(&self, out: &mut dyn Write, indent: usize) -> io::Result<()> {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.0 {
            write!(out, "{:indent$}{name}:", "")?;
            match value {
                Value::Group(fields) => {
                    writeln!(out)?;
                    fields.write_indented(out, indent + 2)?;
                }
                Value::List(values) if values.is_empty() => {
                    writeln!(out, "{:1$} -", "", width - name.len())?;
                }
                Value::List(values) => {
                    writeln!(out)?;
                    for value in values {
                        write_item(out, value, indent + 2)?;
                    }
                }
                value => writeln!(out, "{:1$} {2}", "", width - name.len(), value.text())?,
            }
        }
        Ok(())
    }
}

/// One value of a list: on a line of its own, a group under a dash.
fn write_item(out: &mut dyn Write, value: &Value, indent: usize) -> io::Result<()> {
    match value {
        Value::Group(fields) => {
            writeln!(out, "{:indent$}-", "")?;
            fields.write_indented(out, indent + 2)
        }
        value => writeln!(out, "{:indent$}- {}", "", value.text()),
    }
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Absent => "-".to_owned(),
            Self::Bool(true) => "yes".to_owned(),
            Self::Bool(false) => "no".to_owned(),
            Self::Number(number) => number.to_string(),
            // A name from a file must not steer the terminal.
            Self::Text(text) => text.chars().flat_map(printable).collect(),
            Self::Group(_) | Self::List(_) => String::new(),
        }
    }
}

/// The character, or its escape when it is a control character.
fn printable(c: char) -> impl Iterator<Item = char> {
    let escape = c.is_control().then(|| c.escape_default());
    let plain = escape.is_none().then_some(c);
    escape.into_iter().flatten().chain(plain)
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(&name.replace(',', "").replace([' ', '-'], "_"), value)?;
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => serializer.serialize_i128(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Group(value) => value.serialize(serializer),
            Self::List(values) => values.serialize(serializer),
        }
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Number(value.into())
            }
        })*
    };
}
numbers!(u8, u16, u32, u64, i32, i64);

macro_rules! texts {
    ($($type:ty),*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Text(value.to_string())
            }
        })*
    };
}
texts!(&str, String);

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Fields> for Value {
    fn from(value: Fields) -> Self {
        Self::Group(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

/// Newtypes of the format whose zero means "not set".
macro_rules! format_numbers {
    ($($type:ty),*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Number(value.0.into())
            }
        })*
    };
}
format_numbers!(PageNumber, ObjectId, DbTime, Generation);

macro_rules! format_texts {
    ($($type:ty),*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                if value.is_some() { Self::Text(value.to_string()) } else { Self::Absent }
            }
        })*
    };
}
format_texts!(LogPosition, LogTime, Signature);

impl From<PageSize> for Value {
    fn from(value: PageSize) -> Self {
        Self::Number(value.bytes() as i128)
    }
}

impl From<BackupInfo> for Value {
    fn from(value: BackupInfo) -> Self {
        if !value.is_some() {
            return Self::Absent;
        }
        let mut fields = Fields::new();
        fields.add("mark", value.mark).add("time", value.time);
        fields.add("lowest generation", value.lowest).add("highest generation", value.highest);
        Self::Group(fields)
    }
}

impl From<DatabaseState> for Value {
    fn from(value: DatabaseState) -> Self {
        Self::Text(state_name(value))
    }
}

/// What people call a state.
pub(crate) fn state_name(state: DatabaseState) -> String {
    match state {
        DatabaseState::JustCreated => "just created".to_owned(),
        DatabaseState::DirtyShutdown => "dirty shutdown".to_owned(),
        DatabaseState::CleanShutdown => "clean shutdown".to_owned(),
        DatabaseState::BeingConverted => "being converted".to_owned(),
        DatabaseState::ForceDetach => "force detach".to_owned(),
        DatabaseState::IncrementalReseedInProgress => "incremental reseed in progress".to_owned(),
        DatabaseState::DirtyAndPatchedShutdown => "dirty and patched shutdown".to_owned(),
        DatabaseState::RevertInProgress => "revert in progress".to_owned(),
        DatabaseState::Unknown(number) => format!("unknown ({number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, Value};

    #[test]
    fn text_and_json_keep_the_order_and_escape_controls() {
        let mut inner = Fields::new();
        inner.add("z", 1u32).add("longer name", Value::Absent);
        let mut fields = Fields::new();
        fields.add("title", "a\u{1b}[31m\n").add("inner", inner).add("yes", true);
        let mut text = Vec::new();
        fields.write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "title: a\\u{1b}[31m\\n\ninner:\n  z:           1\n  longer name: -\nyes:   yes\n");
        let json = serde_json::to_string(&fields).unwrap();
        assert_eq!(json, r#"{"title":"a\u001b[31m\n","inner":{"z":1,"longer_name":null},"yes":true}"#);
    }
}
