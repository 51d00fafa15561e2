//! Group commit: one thread writes and syncs for all who wait.

use super::generation::{CurrentFile, Parts, Previous, begin_generation};
use super::tail::{Pending, Reach};
use super::writer::{Fault, Log, LogStatistics};
use crate::error::{Error, JetErr, Result};
use ese_format::log::segment::seal_segment;
use ese_format::log::{SEGMENT_BYTES, SegmentHeader};
use ese_format::primitives::{Generation, LogPosition};
use std::collections::VecDeque;

/// Most segments that go into one write.
const WRITE_SEGMENTS: usize = 64;

/// What those who wait for the log share.
pub(super) struct FlushState {
    pub(super) durable: LogPosition,
    /// Taken out by the thread that leads.
    writer: Option<Box<Writer>>,
    pub(super) statistics: LogStatistics,
}

impl FlushState {
    pub(super) fn new(durable: LogPosition, writer: Writer) -> Self {
        Self { durable, writer: Some(Box::new(writer)), statistics: LogStatistics::default() }
    }
}

/// The right to write, owned by one thread at a time.
pub(super) struct Writer {
    /// None only while a roll-over is under way or after it failed.
    pub(super) current: Option<CurrentFile>,
    /// Whether something was written since the last sync.
    dirty: bool,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(current: CurrentFile) -> Self {
        Self { current: Some(current), dirty: false, buffer: Vec::new() }
    }
}

/// Leadership; gives the writer back however the round ends.
struct Lead<'a> {
    log: &'a Log,
    writer: Option<Box<Writer>>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Whoever waits must not wait for ever for a thread that is gone.
            self.log.tail.lock().failure.get_or_insert(JetErr::InstanceUnavailable);
        }
        self.log.flush.lock().writer = self.writer.take();
        self.log.flushed.notify_all();
    }
}

impl Log {
    pub(super) fn flush_to(&self, end: LogPosition) -> Result<()> {
        let mut state = self.flush.lock();
        if state.durable >= end {
            return Ok(());
        }
        state.statistics.flush_waits += 1;
        loop {
            {
                let tail = self.tail.lock();
                if let Some(code) = tail.failure {
                    return Err(Error::new(code, "the log could not be made durable").position(end));
                }
                if end > tail.position() {
                    return Err(
                        Error::new(JetErr::InternalError, "nothing is appended there yet").position(end)
                    );
                }
            }
            match state.writer.take() {
                None => self.flushed.wait(&mut state),
                Some(writer) => {
                    drop(state);
                    let led = self.lead(writer, Reach::Everything);
                    state = self.flush.lock();
                    if state.durable < end {
                        led?;
                    }
                }
            }
            if state.durable >= end {
                return Ok(());
            }
        }
    }

    /// Gets the segments that are full out of memory, or waits for the thread that does; whoever needs room
    /// then looks again. Nothing is synced but at a roll-over.
    pub(super) fn write_ahead(&self) -> Result<()> {
        let mut state = self.flush.lock();
        match state.writer.take() {
            None => {
                self.flushed.wait(&mut state);
                Ok(())
            }
            Some(writer) => {
                drop(state);
                self.lead(writer, Reach::FullSegments)
            }
        }
    }

    /// One round of writing; a failure is recorded before anybody else can lead.
    fn lead(&self, writer: Box<Writer>, reach: Reach) -> Result<()> {
        let mut lead = Lead { log: self, writer: Some(writer) };
        let Some(writer) = lead.writer.as_mut() else { return Ok(()) };
        self.round(writer, reach).map_err(|fault| {
            tracing::error!(error = %fault.error, "logging stops");
            self.tail.lock().failure.get_or_insert(fault.error.code());
            self.hooks.failed(&fault.error);
            fault.error
        })
    }

    /// Writes what is appended when it begins; syncs it if it takes everything.
    fn round(&self, writer: &mut Writer, reach: Reach) -> std::result::Result<(), Fault> {
        let (mut segments, end) = self.tail.lock().take(reach);
        let mut durable = self.durable();
        self.count(|s| s.rounds += 1);
        while let Some(first) = segments.front() {
            let generation = first.generation;
            self.roll_to(writer, generation, &mut durable)?;
            self.write_run(writer, &mut segments, generation, durable)?;
        }
        if reach == Reach::Everything {
            self.roll_to(writer, end.generation, &mut durable)?;
            self.sync(writer)?;
            self.publish(end);
        }
        Ok(())
    }

    /// Writes the segments of one generation that stand next to each other, as one piece.
    fn write_run(
        &self,
        writer: &mut Writer,
        segments: &mut VecDeque<Pending>,
        generation: Generation,
        durable: LogPosition,
    ) -> std::result::Result<(), Fault> {
        let Some(current) = writer.current.as_mut() else { return Err(no_current()) };
        let mut first = None;
        let mut last = 0;
        writer.buffer.clear();
        while let Some(mut segment) = segments.pop_front_if(|s| {
            s.generation == generation
                && writer.buffer.len() < WRITE_SEGMENTS * SEGMENT_BYTES
                && (first.is_none() || s.number == last + 1)
        }) {
            last = segment.number;
            first.get_or_insert(last);
            let mut header =
                SegmentHeader::decode(segment.image.as_slice()).map_err(|e| Fault::fatal(e.into()))?;
            header = SegmentHeader::new(generation, last, header.started, durable);
            let bytes = header.encode();
            segment.image[..bytes.len()].copy_from_slice(&bytes);
            current.checksum ^= seal_segment(&mut segment.image, last);
            writer.buffer.extend_from_slice(segment.image.as_slice());
        }
        let Some(first) = first else { return Ok(()) };
        let offset = u64::from(first) * SEGMENT_BYTES as u64;
        current
            .file
            .write_at(&writer.buffer, offset)
            .map_err(|e| Fault::write(Error::io(e, "write the log", self.files.current())))?;
        writer.dirty = true;
        let written = last - first + 1;
        self.tail.lock().written(written.into());
        self.count(|s| s.segments += u64::from(written));
        self.flushed.notify_all();
        Ok(())
    }

    /// Makes what is written durable and begins generations until the current one is `generation`.
    fn roll_to(
        &self,
        writer: &mut Writer,
        generation: Generation,
        durable: &mut LogPosition,
    ) -> std::result::Result<(), Fault> {
        loop {
            let Some(current) = &writer.current else { return Err(no_current()) };
            if current.generation >= generation {
                return Ok(());
            }
            self.sync(writer)?;
            let Some(old) = writer.current.take() else { return Err(no_current()) };
            let next = old.generation.next();
            let previous = Previous { created: old.created, checksum: old.checksum };
            let (file, reserve) =
                begin_generation(next, Some(old), Some(previous), &self.stream, &self.parts())?;
            if reserve {
                self.tail.lock().quiescing = true;
            }
            writer.current = Some(file);
            *durable = LogPosition::start_of(next);
            self.count(|s| s.generations += 1);
            self.publish(*durable);
        }
    }

    fn sync(&self, writer: &mut Writer) -> std::result::Result<(), Fault> {
        if std::mem::take(&mut writer.dirty)
            && let Some(current) = &writer.current
        {
            self.count(|s| s.syncs += 1);
            current
                .file
                .sync()
                .map_err(|e| Fault::sync(Error::io(e, "sync the log", self.files.current())))?;
        }
        Ok(())
    }

    /// Tells those who wait.
    fn publish(&self, durable: LogPosition) {
        let mut state = self.flush.lock();
        if durable > state.durable {
            state.durable = durable;
        }
        self.flushed.notify_all();
    }

    fn count(&self, add: impl FnOnce(&mut LogStatistics)) {
        add(&mut self.flush.lock().statistics);
    }

    pub(super) fn parts(&self) -> Parts<'_> {
        Parts { config: &self.config, files: &self.files, hooks: self.hooks.as_ref(), next: &self.next }
    }
}

fn no_current() -> Fault {
    Fault::fatal(Error::new(JetErr::InternalError, "the log has no current file"))
}
