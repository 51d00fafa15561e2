//! The log of a start: found, recovered from, gone on with; or begun.

use super::format_version::check_stream_version;
use super::hooks::Hooks;
use super::instance::Environment;
use super::start::{InitOptions, RecoveryGuide, log_config};
use crate::backup::to_directory::Status;
use crate::checkpoint::Checkpointer;
use crate::database::{Attachments, encode};
use crate::error::{Error, JetErr, Result};
use crate::event::{Event, EventSink, id};
use crate::log::{
    Log, LogConfig, LogReader, ReadOptions, StreamScan, delete_stream, read_checkpoint, read_log_header,
    scan_stream,
};
use crate::params::{ParamId, Parameters};
use crate::recovery::{
    Analysis, Ending, LostLogs, OpenWork, Paths, Percent, Purpose, Redo, RedoOptions, RedoParts,
};
use crate::restore::map::RestoreMap;
use crate::sync::Arc;
use ese_format::checkpoint::Checkpoint;
use ese_format::log::AttachEntry;
use ese_format::log::record::{Init2, LogRecord};
use ese_format::{LogPosition, Signature};
use ese_vfs::Disk;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// KiB of a segment of a log file.
const SEGMENT_KIB: u32 = 4;

/// What a start does with the log.
pub(super) struct LogOpening<'a> {
    pub(super) environment: &'a Environment,
    pub(super) parameters: Parameters,
    pub(super) events: &'a Arc<dyn EventSink>,
    pub(super) log_dir: PathBuf,
    pub(super) system_dir: PathBuf,
    pub(super) options: InitOptions,
}

impl LogOpening<'_> {
    fn config(&self) -> LogConfig {
        log_config(self.environment, &self.parameters, &self.log_dir)
    }

    /// What the log asks of the instance, with a checkpoint in a file.
    pub(super) fn hooks(
        &self,
        attachments: &Arc<Attachments>,
        last: Option<Checkpoint>,
        path: PathBuf,
    ) -> Arc<Hooks> {
        let checkpoint = Checkpointer::new(
            self.environment.disk.clone(),
            path,
            attachments.clone(),
            self.config().params,
            last,
        );
        Arc::new(Hooks::new(attachments.clone(), Arc::new(checkpoint)))
    }

    /// Recovers what is to be recovered, and leaves a log that takes records, if only the first one.
    ///
    /// # Errors
    /// Those of JetInit that are about logs and recovery.
    pub(super) fn open(
        &mut self,
        attachments: &Arc<Attachments>,
        guide: &mut RecoveryGuide<'_>,
    ) -> Result<(Option<Arc<Log>>, Arc<Hooks>)> {
        let disk = &self.environment.disk;
        let clock = &self.environment.clock;
        self.check_cleanup()?;
        let survey = self
            .survey(&self.config(), &self.paths(&guide.map))
            .inspect_err(|error| self.report_failure(error))?;
        guide.warning = survey.warning;
        if let Some(double_write) = &attachments.storage().double_write {
            // Before redo reads a page, and before anybody writes one.
            let end = survey.scan.signature().map_or(LogPosition::NONE, |_| survey.scan.end());
            double_write.recover(&**disk, clock, end).inspect_err(|error| self.report_failure(error))?;
        }
        let (log, hooks) = match survey.scan.signature() {
            None if self.options.redo.contains(RedoOptions::LOG_STREAM_MUST_EXIST) => {
                let path = survey.scan.files.current();
                return Err(Error::new(JetErr::MissingLogFile, "there is no log").file(path));
            }
            None => self.begin_stream(attachments)?,
            Some(signature) => self.continue_stream(survey, signature, attachments, guide)?,
        };
        hooks.checkpoint.set_signature(log.signature());
        let params = self.config().params;
        let init = log.append(&encode(&LogRecord::Init2(Init2 { params, time: clock.now() }))?)?;
        log.flush(init.end)?;
        // What the current generation's header knows, databases attached from now on must admit.
        let header = read_log_header(&**disk, &log.files().current())?;
        attachments.admit(header.generation, header.created)?;
        attachments.storage().begin_logging(&log);
        hooks.checkpoint.follow(&log, &attachments.storage().transactions)?;
        Ok((Some(log), hooks))
    }

    /// Logs that may be needed for a restore are never deleted because they have another size.
    fn check_cleanup(&self) -> Result<()> {
        match self.parameters.cleanup_mismatched_logs() && !self.parameters.circular_logging() {
            true => Err(Error::new(
                JetErr::InvalidSettings,
                "JET_paramCleanupMismatchedLogFiles needs JET_paramCircularLog",
            )),
            false => Ok(()),
        }
    }

    /// A log where there is none.
    fn begin_stream(&self, attachments: &Arc<Attachments>) -> Result<(Arc<Log>, Arc<Hooks>)> {
        let config = self.config();
        let path = config.files()?.checkpoint(&self.system_dir);
        remove_stale(&*self.environment.disk, &path)?;
        let hooks = self.hooks(attachments, None, path);
        Ok((Arc::new(Log::create(config, hooks.clone())?), hooks))
    }

    /// Recovers what is to be recovered, and goes on with the log; with one that is new when its files should have
    /// another size.
    fn continue_stream(
        &mut self,
        survey: Survey,
        signature: Signature,
        attachments: &Arc<Attachments>,
        guide: &mut RecoveryGuide<'_>,
    ) -> Result<(Arc<Log>, Arc<Hooks>)> {
        let Survey { scan, checkpoint: last, start, analysis, .. } = survey;
        let (files, segments) = (scan.files.clone(), scan.segments().unwrap_or_default());
        self.parameters.follow_log_size(u32::from(segments) * SEGMENT_KIB);
        let config = self.config();
        let has_other_size = segments != config.segments;
        if start.is_some() || !has_other_size {
            let open = match &start {
                Some(start) => self
                    .redo(&config, (&scan, &analysis), start, signature, attachments, guide)
                    .map(Some)
                    .inspect_err(|error| self.report_failure(error))?,
                None => None,
            };
            let hooks = self.hooks(attachments, last, files.checkpoint(&self.system_dir));
            hooks.checkpoint.set_signature(signature);
            let log = Arc::new(Log::open(config, scan, hooks.clone())?);
            if let (Some((redo_from, _)), Some(open)) = (start, open) {
                let ending = Ending {
                    disk: &*self.environment.disk,
                    log: &log,
                    attachments,
                    checkpoint: &hooks.checkpoint,
                    clock: &*self.environment.clock,
                    redo_from,
                    is_hard: false,
                };
                ending.finish(open).inspect_err(|error| self.report_failure(error))?;
                self.events.report(&Event::new(id::RECOVERY_COMPLETED, []));
                (guide.progress)(Status::Complete);
            }
            if !has_other_size {
                return Ok((log, hooks));
            }
            log.close()?;
        }
        // Every database is whole by now.
        if !self.parameters.cleanup_mismatched_logs() {
            let (there, wanted) = (u32::from(segments) * SEGMENT_KIB, self.parameters.log_file_kib());
            let detail = format!("the logs have {there} KiB, {wanted} are configured");
            return Err(
                Error::new(JetErr::LogFileSizeMismatchDatabasesConsistent, detail).file(files.current())
            );
        }
        delete_stream(&files)?;
        self.begin_stream(attachments)
    }

    /// Tells the event log why recovery failed. To stop before undo on request is no failure.
    fn report_failure(&self, error: &Error) {
        let file = || error.file_path().map_or_else(String::new, |path| path.display().to_string());
        match error.code() {
            JetErr::RecoveredWithoutUndo | JetErr::RecoveredWithoutUndoDatabasesConsistent => return,
            JetErr::LogFileCorrupt => {
                let position = error.log_position().map_or_else(String::new, |at| at.to_string());
                self.events.report(&Event::new(id::LOG_CORRUPT_AT_INIT, [file(), position]));
            }
            JetErr::MissingLogFile | JetErr::MissingPreviousLogFile => {
                self.events.report(&Event::new(id::ROLL_FORWARD_GAP, [file()]));
            }
            _ => {}
        }
        self.events.report(&Event::new(id::RECOVERY_FAILED, [error.code().code().to_string()]));
    }

    /// Finds the logs and reads what recovery will have to replay. Logs that it may do without are dropped.
    fn survey(&self, config: &LogConfig, paths: &Paths) -> Result<Survey> {
        let options = self.options.redo;
        let mut may_lack_current = options.contains(RedoOptions::ALLOW_MISSING_CURRENT_LOG);
        let mut warning = None;
        let mut is_first = true;
        loop {
            match self.look(config, may_lack_current, is_first) {
                Ok(survey) => return Ok(Survey { warning, ..survey }),
                Err((error, checkpoint)) => {
                    let lost = LostLogs { config, paths, options, checkpoint };
                    let before = config.files()?.archives()?.len();
                    let code = error.code();
                    warning = lost.go_on_without(error)?.or(warning);
                    // Every round but the first must make the stream shorter.
                    if !is_first && before == config.files()?.archives()?.len() {
                        return Err(Error::new(code, "the logs cannot be used"));
                    }
                    may_lack_current = true;
                    is_first = false;
                }
            }
        }
    }

    /// One look at the logs; with an error comes where recovery would have begun.
    fn look(
        &self,
        config: &LogConfig,
        may_lack_current: bool,
        is_first: bool,
    ) -> std::result::Result<Survey, (Error, LogPosition)> {
        let disk = &*self.environment.disk;
        let unknown = |error| (error, LogPosition::NONE);
        let scan = scan_stream(config, may_lack_current).map_err(unknown)?;
        let Some(signature) = scan.signature() else {
            return Ok(Survey::without_recovery(scan, None));
        };
        if let Some(last) = &scan.last {
            let configured = self.parameters.integer(ParamId::EngineFormatVersion);
            check_stream_version(configured, last.header.version)
                .map_err(|error| unknown(error.file(&scan.last_path)))?;
        }
        let path = scan.files.checkpoint(&self.system_dir);
        let checkpoint = usable_checkpoint(disk, &path, &signature).map_err(unknown)?;
        let at = checkpoint.as_ref().map_or(LogPosition::NONE, |c| c.checkpoint);
        if scan.closed_at().is_some_and(|closed| closed == at) {
            return Ok(Survey::without_recovery(scan, checkpoint));
        }
        if is_first {
            self.events.report(&Event::new(id::RECOVERY_STARTED, []));
        }
        let start = choose_start(disk, &scan, checkpoint.as_ref()).map_err(unknown)?;
        let mut analysis = Analysis::default();
        LogReader::open(scan.files.clone(), start.0, read_options(config, signature))
            .and_then(|mut reader| analysis.read(&mut reader))
            .map_err(|error| (error, at))?;
        Ok(Survey { scan, checkpoint, start: Some(start), warning: None, analysis })
    }

    /// Replays what the last run left.
    fn redo(
        &self,
        config: &LogConfig,
        (scan, analysis): (&StreamScan, &Analysis),
        (start, attached): &(LogPosition, Vec<AttachEntry>),
        signature: Signature,
        attachments: &Attachments,
        guide: &mut RecoveryGuide<'_>,
    ) -> Result<OpenWork> {
        let disk = &*self.environment.disk;
        (guide.progress)(Status::Begin);
        let paths = self.paths(&guide.map);
        let parts = RedoParts {
            disk,
            clock: &self.environment.clock,
            events: &**self.events,
            files: &scan.files,
            attachments,
            analysis,
        };
        let purpose = match self.options.redo.contains(RedoOptions::ALLOW_SOFT_RECOVERY_ON_BACKUP) {
            true => Purpose::CrashOrBackup,
            false => Purpose::Crash,
        };
        let mut redo = Redo::begin(parts, (*start, signature), attached, paths, purpose)?;
        let last = scan.end().generation;
        let mut percent = Percent::new(start.generation, last);
        let progress = &mut *guide.progress;
        let mut reader = LogReader::open(scan.files.clone(), *start, read_options(config, signature))?;
        redo.run(&mut reader, &mut |at| {
            percent.at(at).into_iter().for_each(|done| progress(Status::Progress(done)));
        })?;
        guide.warning =
            redo.complete(self.options.redo)?.filter(|_| guide.warning.is_none()).or(guide.warning);
        if self.options.redo.contains(RedoOptions::WITHOUT_UNDO) {
            let code = match attachments.all().is_empty() {
                true => JetErr::RecoveredWithoutUndoDatabasesConsistent,
                false => JetErr::RecoveredWithoutUndo,
            };
            return Err(Error::new(code, "redo is done, undo was not asked for"));
        }
        guide.databases = redo.recovered();
        Ok(redo.into_open())
    }

    /// Where recovery finds the databases.
    fn paths(&self, map: &RestoreMap) -> Paths {
        if !map.entries().is_empty() {
            let others = self.options.redo.contains(RedoOptions::MISSING_MAP_ENTRY_DATABASE);
            let map = map.entries().iter().map(|entry| (entry.old.clone(), entry.new.clone())).collect();
            return Paths::Mapped { map, others };
        }
        match self.parameters.alternate_database_dir() {
            Some(folder) => Paths::Folder(folder),
            None => Paths::Logged,
        }
    }
}

/// What there is to start from.
struct Survey {
    scan: StreamScan,
    checkpoint: Option<Checkpoint>,
    /// Where redo begins, and what is attached there; none when nothing is to be recovered.
    start: Option<(LogPosition, Vec<AttachEntry>)>,
    warning: Option<JetErr>,
    /// What the first pass found from there on.
    analysis: Analysis,
}

impl Survey {
    fn without_recovery(scan: StreamScan, checkpoint: Option<Checkpoint>) -> Self {
        Self { scan, checkpoint, start: None, warning: None, analysis: Analysis::default() }
    }
}

fn read_options(config: &LogConfig, signature: Signature) -> ReadOptions {
    ReadOptions { page_size: Some(config.page_size), signature: Some(signature), ..ReadOptions::default() }
}

/// Where redo begins, and which databases are attached there: the checkpoint if it can be used, else the
/// beginning of the generation, else that of the lowest generation without a gap behind it.
fn choose_start(
    disk: &dyn Disk,
    scan: &StreamScan,
    checkpoint: Option<&Checkpoint>,
) -> Result<(LogPosition, Vec<AttachEntry>)> {
    let last = scan.last.as_ref().map(|l| l.header.generation).unwrap_or_default();
    let lowest = scan.lowest().unwrap_or(last);
    let usable = checkpoint.filter(|c| (lowest..=last).contains(&c.checkpoint.generation));
    if let Some(Checkpoint { checkpoint, attached: Some(attached), .. }) = usable {
        return Ok((*checkpoint, attached.clone()));
    }
    let generation = usable.map_or(lowest, |c| c.checkpoint.generation);
    let path = match generation == last {
        true => scan.last_path.clone(),
        false => scan.files.find_archive(generation).unwrap_or_else(|| scan.files.archive(generation)),
    };
    let header = read_log_header(disk, &path)?;
    Ok((LogPosition::start_of(generation), header.attached))
}

/// The checkpoint, unless it is absent, damaged or another stream's: then recovery does without.
fn usable_checkpoint(disk: &dyn Disk, path: &Path, signature: &Signature) -> Result<Option<Checkpoint>> {
    match read_checkpoint(disk, path, Some(signature)) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(e)
            if matches!(
                e.code(),
                JetErr::CheckpointFileNotFound
                    | JetErr::CheckpointCorrupt
                    | JetErr::FileInvalidType
                    | JetErr::BadCheckpointSignature
            ) =>
        {
            tracing::warn!(error = %e, "recovery goes without a checkpoint");
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

fn remove_stale(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(e, "removing an old checkpoint", path)),
        _ => Ok(()),
    }
}
