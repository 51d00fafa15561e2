//! System parameters: a complete set of values with the rules of the JET API.
//!
//! The rules (type, range, default, scope, when settable) are data, generated from the API's table. A
//! set of parameters belongs to one instance; which of them a process shares among its instances is for
//! whoever holds several instances to arrange, with [`Definition::scope`].

mod definition;
#[rustfmt::skip]
mod table;

pub use definition::{Default as DefaultValue, Definition, Handling, Scope, Settable, Type};
pub use table::ParamId;

use crate::error::{Error, JetErr, Result};
use ese_format::PageSize;
use std::path::PathBuf;

/// The longest path in UTF-16 units.
pub const PATH_UNITS_MOST: u64 = 1000;

/// Bits of JET_paramConfiguration that choose the defaults (JET_configDefault, JET_configLowMemory).
const CONFIG_DEFAULT: u64 = 0x1;
const CONFIG_LOW_MEMORY: u64 = 0x10;
/// Bits of JET_paramCommitDefault (the grbits of JetCommitTransaction).
const COMMIT_BITS: u64 = 0x1 | 0x2 | 0x8 | 0x10;
/// Bits of JET_paramLegacyFileNames.
const LEGACY_EXTENSIONS: u64 = 0x1;
const EIGHT_DOT_THREE: u64 = 0x2;

impl ParamId {
    /// The parameter of a number, when the API has one.
    pub fn from_number(number: u32) -> Option<Self> {
        table::TABLE.binary_search_by_key(&number, |d| d.id as u32).ok().map(|at| table::TABLE[at].id)
    }

    /// Its number in the C API.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Its rules.
    pub fn definition(self) -> &'static Definition {
        &table::TABLE[self.index()]
    }

    /// All parameters, ascending by number.
    pub fn all() -> impl Iterator<Item = Self> {
        table::TABLE.iter().map(|d| d.id)
    }

    fn index(self) -> usize {
        // Enum and table are generated from the same rows, so every id is found.
        table::TABLE.partition_point(|d| d.id < self)
    }
}

/// How far the owner of a set of parameters has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// No instance exists in the process.
    NoInstance,
    /// The instance exists and is not initialised.
    Created,
    /// The instance is initialised.
    Running,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Integer(u64),
    Text(String),
}

/// A complete set of parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    values: Vec<Value>,
    stage: Stage,
    /// Somebody has said how large log files are.
    log_size_is_chosen: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self::new()
    }
}

impl Parameters {
    /// All defaults; everything may be set that ever may.
    pub fn new() -> Self {
        let value = |d: &Definition| match d.default {
            DefaultValue::Integer(n) => Value::Integer(n),
            DefaultValue::Text(t) => Value::Text(t.to_owned()),
        };
        Self {
            values: table::TABLE.iter().map(value).collect(),
            stage: Stage::NoInstance,
            log_size_is_chosen: false,
        }
    }

    /// From which moment the settable-when rules count.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Says how far the owner has come.
    pub fn set_stage(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// A number; 0 for a text parameter. JET_paramKeyMost and JET_paramLVChunkSizeMost follow the page
    /// size.
    pub fn integer(&self, id: ParamId) -> u64 {
        match id {
            ParamId::KeyMost => self.key_most().into(),
            ParamId::LVChunkSizeMost => self.long_value_chunk_most(),
            _ => match self.values.get(id.index()) {
                Some(Value::Integer(n)) => *n,
                _ => 0,
            },
        }
    }

    /// A text; empty for a number parameter.
    pub fn text(&self, id: ParamId) -> &str {
        match self.values.get(id.index()) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// Sets a number.
    ///
    /// # Errors
    /// JET_errInvalidParameter when the parameter is text or read-only or the value is out of its range,
    /// JET_errAlreadyInitialized when it is too late.
    pub fn set_integer(&mut self, id: ParamId, value: u64) -> Result<()> {
        let definition = id.definition();
        self.check_settable(definition)?;
        let value = if definition.kind == Type::Boolean { u64::from(value != 0) } else { value };
        let fits = !definition.kind.is_text()
            && (definition.min..=definition.limit()).contains(&value)
            && match (definition.kind, id) {
                (Type::PowerOfTwo, _) => value.is_power_of_two(),
                (_, ParamId::CommitDefault) => value & !COMMIT_BITS == 0,
                _ => true,
            };
        if !fits {
            return Err(refused(definition, format!("{value}")));
        }
        if id == ParamId::Configuration {
            self.configure(value);
        }
        self.log_size_is_chosen |= id == ParamId::LogFileSize;
        self.values[id.index()] = Value::Integer(value);
        Ok(())
    }

    /// Sets a text.
    ///
    /// # Errors
    /// JET_errInvalidParameter when the parameter is a number or read-only or the text is too short or too
    /// long or unfit (a base name with a path separator, a text with a zero character),
    /// JET_errAlreadyInitialized when it is too late.
    pub fn set_text(&mut self, id: ParamId, value: &str) -> Result<()> {
        let definition = id.definition();
        self.check_settable(definition)?;
        let units = value.encode_utf16().count() as u64;
        let fits = definition.kind.is_text()
            // A parameter that is ignored and documented as empty still takes a value.
            && (definition.handling == Handling::Ignored
                || (definition.min..=definition.limit()).contains(&units))
            && !value.contains('\0')
            && !(id == ParamId::BaseName && value.contains(['/', '\\', ':']));
        if !fits {
            return Err(refused(definition, format!("\"{value}\"")));
        }
        self.values[id.index()] = Value::Text(value.to_owned());
        Ok(())
    }

    /// Whether JET_paramLogFileSize was set. Otherwise an instance takes the size of the logs that are there.
    pub fn log_size_is_chosen(&self) -> bool {
        self.log_size_is_chosen
    }

    /// Logs of another size are there, and nobody has chosen one. Not checked: they are there.
    pub fn follow_log_size(&mut self, kib: u32) {
        if !self.log_size_is_chosen {
            self.values[ParamId::LogFileSize.index()] = Value::Integer(kib.into());
        }
    }

    /// Takes the process-wide values of another set.
    pub fn adopt_global(&mut self, other: &Self) {
        for (definition, (mine, theirs)) in table::TABLE.iter().zip(self.values.iter_mut().zip(&other.values))
        {
            if definition.scope == Scope::Global {
                mine.clone_from(theirs);
            }
        }
    }

    fn check_settable(&self, definition: &Definition) -> Result<()> {
        let last = match definition.settable {
            Settable::Anytime => Stage::Running,
            Settable::BeforeInit => Stage::Created,
            Settable::BeforeFirstInstance => Stage::NoInstance,
            Settable::Never => {
                return Err(Error::new(
                    JetErr::InvalidParameter,
                    format!("{} cannot be set", definition.name),
                ));
            }
        };
        if self.stage > last {
            let what = format!("{} must be set earlier", definition.name);
            return Err(Error::new(JetErr::AlreadyInitialized, what));
        }
        Ok(())
    }

    /// Puts the instance's numbers at the defaults of a configuration.
    fn configure(&mut self, configuration: u64) {
        self.log_size_is_chosen = false;
        for (definition, value) in table::TABLE.iter().zip(&mut self.values) {
            let DefaultValue::Integer(default) = definition.default else { continue };
            if definition.scope != Scope::Instance || definition.settable == Settable::Never {
                continue;
            }
            if configuration & CONFIG_DEFAULT != 0 {
                *value = Value::Integer(default);
            }
            if let Some(low) = definition.low_memory
                && configuration & CONFIG_LOW_MEMORY != 0
            {
                *value = Value::Integer(low);
            }
        }
    }
}

fn refused(definition: &Definition, value: String) -> Error {
    Error::new(JetErr::InvalidParameter, format!("{} cannot be {value}", definition.name))
}

/// The parameters that the engine asks for, in Rust's types.
impl Parameters {
    /// Folder of the transaction logs.
    pub fn log_dir(&self) -> PathBuf {
        self.folder(ParamId::LogFilePath)
    }

    /// Folder of the checkpoint file.
    pub fn system_dir(&self) -> PathBuf {
        self.folder(ParamId::SystemPath)
    }

    /// Path of the temporary database; a folder (a path that ends in a separator) means `tmp.edb` in it.
    pub fn temp_path(&self) -> PathBuf {
        let text = self.text(ParamId::TempPath);
        if text.is_empty() || text.ends_with('/') {
            PathBuf::from(text).join("tmp.edb")
        } else {
            PathBuf::from(text)
        }
    }

    /// Where recovery looks for every database, when it shall not look where the log says.
    pub fn alternate_database_dir(&self) -> Option<PathBuf> {
        let text = self.text(ParamId::AlternateDatabaseRecoveryPath);
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    /// Three-character prefix of log and checkpoint names.
    pub fn base_name(&self) -> &str {
        self.text(ParamId::BaseName)
    }

    /// Size of each log file in KiB.
    pub fn log_file_kib(&self) -> u32 {
        self.small(ParamId::LogFileSize)
    }

    /// Whether logs behind the checkpoint are deleted or reused without a backup.
    pub fn circular_logging(&self) -> bool {
        self.flag(ParamId::CircularLog)
    }

    /// Page size of new databases and of all databases of the process.
    pub fn page_size(&self) -> PageSize {
        // The range check admits only sizes of the format.
        PageSize::from_bytes(self.small(ParamId::DatabasePageSize)).unwrap_or(PageSize::K4)
    }

    /// Whether changes are logged and recovered (JET_paramRecovery is not "off").
    pub fn recovery_on(&self) -> bool {
        !self.text(ParamId::Recovery).eq_ignore_ascii_case("off")
    }

    /// Whether recovery repairs what it can instead of failing (JET_paramRecovery is "repair").
    pub fn recovery_repairs(&self) -> bool {
        self.text(ParamId::Recovery).eq_ignore_ascii_case("repair")
    }

    /// Whether logs are named `.log` and the checkpoint `.chk` (otherwise `.jtx` and `.jcp`).
    pub fn legacy_file_names(&self) -> bool {
        self.integer(ParamId::LegacyFileNames) & LEGACY_EXTENSIONS != 0
    }

    /// Whether log names keep to eight characters while the generation allows it.
    pub fn eight_dot_three_names(&self) -> bool {
        self.integer(ParamId::LegacyFileNames) & EIGHT_DOT_THREE != 0
    }

    /// Distance in bytes that the checkpoint may lag behind the log's tip.
    pub fn checkpoint_depth(&self) -> u64 {
        self.integer(ParamId::CheckpointDepthMax)
    }

    /// Whether initialisation deletes logs outside the current sequence.
    pub fn delete_out_of_range_logs(&self) -> bool {
        self.flag(ParamId::DeleteOutOfRangeLogs)
    }

    /// Whether logs of another size are deleted after recovery instead of being an error.
    pub fn cleanup_mismatched_logs(&self) -> bool {
        self.flag(ParamId::CleanupMismatchedLogFiles)
    }

    /// Whether missing folders are created.
    pub fn create_path_if_missing(&self) -> bool {
        self.flag(ParamId::CreatePathIfNotExist)
    }

    /// Whether deleted data is overwritten in the live database while a backup streams it.
    pub fn zero_during_backup(&self) -> bool {
        self.flag(ParamId::ZeroDatabaseDuringBackup)
    }

    /// Whether information events are dropped.
    pub fn no_information_event(&self) -> bool {
        self.flag(ParamId::NoInformationEvent)
    }

    /// 0 drops all events, 100 passes all.
    pub fn event_level(&self) -> u32 {
        self.small(ParamId::EventLoggingLevel)
    }

    /// Most sessions at a time.
    pub fn max_sessions(&self) -> u32 {
        self.small(ParamId::MaxSessions)
    }

    /// Most instances at a time in the process.
    pub fn max_instances(&self) -> u32 {
        self.small(ParamId::MaxInstances)
    }

    /// Pages by which a database grows.
    pub fn extension_pages(&self) -> u32 {
        self.small(ParamId::DbExtensionSize)
    }

    /// Whether commits are lazy unless they ask otherwise.
    pub fn lazy_commit_default(&self) -> bool {
        self.integer(ParamId::CommitDefault) & 1 != 0
    }

    /// Whether extra log generations are begun, as at the end of a backup.
    pub fn aggressive_log_rollover(&self) -> bool {
        self.flag(ParamId::AggressiveLogRollover)
    }

    /// The longest key that an index may ask for at this page size, in bytes.
    pub fn key_most(&self) -> u16 {
        match self.page_size() {
            PageSize::K2 => 255,
            PageSize::K4 => 500,
            PageSize::K8 => 1000,
            PageSize::K16 | PageSize::K32 => 2000,
        }
    }

    /// Bytes of a long value in each of its nodes; only pages up to 8 KiB follow the short formula
    /// (page - 82), the larger ones use chunks that fit several to a page.
    fn long_value_chunk_most(&self) -> u64 {
        match self.page_size() {
            PageSize::K16 => 4050,
            PageSize::K32 => 8150,
            small => small.bytes() as u64 - 82,
        }
    }

    fn folder(&self, id: ParamId) -> PathBuf {
        match self.text(id) {
            "" => PathBuf::from("./"),
            text => PathBuf::from(text),
        }
    }

    fn small(&self, id: ParamId) -> u32 {
        u32::try_from(self.integer(id)).unwrap_or(u32::MAX)
    }

    fn flag(&self, id: ParamId) -> bool {
        self.integer(id) != 0
    }
}

#[cfg(test)]
mod tests;
