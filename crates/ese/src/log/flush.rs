//! Group commit: one thread writes and syncs for all who wait.

use super::generation::{CurrentFile, Parts, Previous, begin_generation};
use super::tail::{Pending, Reach};
use super::waiters::{self, Waiter, Waiters};
use super::writer::{Fault, Log, LogStatistics};
use crate::error::{Error, JetErr, Result};
use ese_format::log::segment::seal_segment;
use ese_format::log::{SEGMENT_BYTES, SegmentHeader};
use ese_format::primitives::{Generation, LogPosition};
use std::collections::VecDeque;
use std::sync::Arc;

/// Most segments that go into one write.
const WRITE_SEGMENTS: usize = 64;

/// What those who wait for the log share.
pub(super) struct FlushState {
    pub(super) durable: LogPosition,
    /// Taken out by the thread that leads.
    writer: Option<Box<Writer>>,
    /// While anybody is in here, the writer is out or somebody who was taken from here is awake.
    waiters: Waiters,
    pub(super) statistics: LogStatistics,
}

impl FlushState {
    pub(super) fn new(durable: LogPosition, writer: Writer) -> Self {
        Self {
            durable,
            writer: Some(Box::new(writer)),
            waiters: Waiters::default(),
            statistics: LogStatistics::default(),
        }
    }

    /// Who is to lead next, if the right to write is free.
    fn successor(&mut self) -> Option<Arc<Waiter>> {
        self.writer.as_ref().and_then(|_| self.waiters.next())
    }
}

/// The right to write, owned by one thread at a time.
pub(super) struct Writer {
    /// None only while a roll-over is under way or after it failed.
    pub(super) current: Option<CurrentFile>,
    /// Whether something was written since the last sync.
    dirty: bool,
    buffer: Vec<u8>,
    /// What is not yet in the statistics.
    counts: LogStatistics,
}

impl Writer {
    pub(super) fn new(current: CurrentFile) -> Self {
        Self { current: Some(current), dirty: false, buffer: Vec::new(), counts: LogStatistics::default() }
    }
}

/// Leadership; gives the writer back however the round ends.
struct Lead<'a> {
    log: &'a Log,
    writer: Option<Box<Writer>>,
    /// Those whom the round served.
    served: Vec<Arc<Waiter>>,
    has_failed: bool,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Whoever waits must not wait for ever for a thread that is gone.
            self.log.tail.lock().failure.get_or_insert(JetErr::InstanceUnavailable);
            self.has_failed = true;
        }
        let successors = {
            let mut state = self.log.flush.lock();
            if let Some(writer) = &mut self.writer {
                state.statistics.add(&std::mem::take(&mut writer.counts));
            }
            state.writer = self.writer.take();
            if self.has_failed { state.waiters.all() } else { state.successor().into_iter().collect() }
        };
        // The disk is idle until the next round begins; those who are served have time.
        successors.iter().chain(&self.served).for_each(|waiter| waiter.wake());
        self.log.room.notify_all();
    }
}

impl Log {
    pub(super) fn flush_to(&self, end: LogPosition) -> Result<()> {
        let mut state = self.flush.lock();
        if state.durable >= end {
            return Ok(());
        }
        state.statistics.flush_waits += 1;
        let result = loop {
            if let Err(error) = self.check_reachable(end) {
                break Err(error);
            }
            match state.writer.take() {
                None => waiters::wait(&mut state, |state| &mut state.waiters, end),
                Some(writer) => {
                    drop(state);
                    let led = self.lead(writer, Reach::Everything);
                    state = self.flush.lock();
                    if state.durable < end && led.is_err() {
                        break led;
                    }
                }
            }
            if state.durable >= end {
                break Ok(());
            }
        };
        // Whoever was called to lead and goes without having led calls the next.
        let successor = state.successor();
        drop(state);
        successor.iter().for_each(|waiter| waiter.wake());
        result
    }

    /// Fails when the log will never be durable up to `end`.
    fn check_reachable(&self, end: LogPosition) -> Result<()> {
        let tail = self.tail.lock();
        if let Some(code) = tail.failure {
            return Err(Error::new(code, "the log could not be made durable").position(end));
        }
        if end > tail.position() {
            return Err(Error::new(JetErr::InternalError, "nothing is appended there yet").position(end));
        }
        Ok(())
    }

    /// Gets the segments that are full out of memory, or waits for the thread that does; whoever needs room
    /// then looks again. Nothing is synced but at a roll-over.
    pub(super) fn write_ahead(&self) -> Result<()> {
        let mut state = self.flush.lock();
        match state.writer.take() {
            None => {
                self.room.wait(&mut state);
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
        let mut lead = Lead { log: self, writer: Some(writer), served: Vec::new(), has_failed: false };
        let Some(writer) = lead.writer.as_mut() else { return Ok(()) };
        // Who failed before had the writer: what it could not write is lost, and nothing may be written behind that.
        if let Some(code) = self.tail.lock().failure {
            return Err(Error::new(code, "logging has stopped"));
        }
        match self.round(writer, reach) {
            Ok(served) => {
                lead.served = served;
                Ok(())
            }
            Err(fault) => {
                tracing::error!(error = %fault.error, "logging stops");
                self.tail.lock().failure.get_or_insert(fault.error.code());
                self.hooks.failed(&fault.error);
                lead.has_failed = true;
                Err(fault.error)
            }
        }
    }

    /// Writes what is appended when it begins; syncs it if it takes everything. Those who are served by the
    /// end of it are to be woken.
    fn round(&self, writer: &mut Writer, reach: Reach) -> std::result::Result<Vec<Arc<Waiter>>, Fault> {
        let (mut segments, end) = self.tail.lock().take(reach);
        let mut durable = self.durable();
        writer.counts.rounds += 1;
        while let Some(first) = segments.front() {
            let generation = first.generation;
            self.roll_to(writer, generation, &mut durable)?;
            self.write_run(writer, &mut segments, generation, durable)?;
        }
        if reach == Reach::Everything {
            self.roll_to(writer, end.generation, &mut durable)?;
            self.sync(writer)?;
            return Ok(self.publish(writer, end));
        }
        Ok(Vec::new())
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
        crate::sync::may_wait_for_disk();
        current
            .file
            .write_at(&writer.buffer, offset)
            .map_err(|e| Fault::write(Error::io(e, "write the log", self.files.current())))?;
        writer.dirty = true;
        let written = last - first + 1;
        self.tail.lock().written(written.into());
        writer.counts.segments += u64::from(written);
        self.room.notify_all();
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
            writer.counts.generations += 1;
            self.publish(writer, *durable).iter().for_each(|waiter| waiter.wake());
        }
    }

    fn sync(&self, writer: &mut Writer) -> std::result::Result<(), Fault> {
        if std::mem::take(&mut writer.dirty)
            && let Some(current) = &writer.current
        {
            writer.counts.syncs += 1;
            crate::sync::may_wait_for_disk();
            current
                .file
                .sync()
                .map_err(|e| Fault::sync(Error::io(e, "sync the log", self.files.current())))?;
        }
        Ok(())
    }

    /// Sets how far the log is durable; who waited for that and is to be woken.
    fn publish(&self, writer: &mut Writer, durable: LogPosition) -> Vec<Arc<Waiter>> {
        let mut state = self.flush.lock();
        state.statistics.add(&std::mem::take(&mut writer.counts));
        state.durable = state.durable.max(durable);
        let durable = state.durable;
        state.waiters.served(durable)
    }

    pub(super) fn parts(&self) -> Parts<'_> {
        Parts { config: &self.config, files: &self.files, hooks: self.hooks.as_ref(), next: &self.next }
    }
}

fn no_current() -> Fault {
    Fault::fatal(Error::new(JetErr::InternalError, "the log has no current file"))
}
