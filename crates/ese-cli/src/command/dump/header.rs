//! `ese dump header`: every field of a header.

use crate::command::info;
use crate::exit::ExitCode;
use crate::fields::{Fields, Value};
use crate::output::Output;
use crate::source::{Kind, Source};
use ese_format::database::{Chosen, DatabaseHeader, HeaderCopy, OtherCopy};
use ese_format::log::{AttachEntry, DbmsParam, LogHeader};
use std::path::PathBuf;

/// The arguments of `ese dump header`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Print every field of a database header or log header, as stored. The file is only read.\n\n\
                  Stands for `esentutl /mh`, and for the header part of `esentutl /ml`.",
    after_long_help = "Examples:\n  ese dump header ntds.dit\n  ese dump header --shadow ntds.dit\n  ese --json dump header edb.log"
)]
pub(crate) struct Args {
    /// A database or log file.
    file: PathBuf,
    /// The second copy of a database header.
    #[arg(long)]
    shadow: bool,
}

/// Prints the fields.
pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode> {
    let fields = match Source::open(&args.file)?.kind {
        Kind::Database(chosen) => {
            let mut fields = database(copy(&chosen, args.shadow)?);
            fields.add("header copies", info::copies(&chosen));
            fields
        }
        Kind::Log(header) if !args.shadow => log(&header),
        _ => anyhow::bail!("{} has no such header", args.file.display()),
    };
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(ExitCode::Success)
}

/// The copy that was asked for.
fn copy(chosen: &Chosen, shadow: bool) -> anyhow::Result<&DatabaseHeader> {
    if !shadow || chosen.copy == HeaderCopy::Shadow {
        return Ok(&chosen.header);
    }
    match &chosen.other {
        OtherCopy::Same => Ok(&chosen.header),
        OtherCopy::Different(header) => Ok(header),
        OtherCopy::Damaged(error) => Err(error.clone().into()),
    }
}

/// Adds fields of a value under their own names.
macro_rules! fields {
    ($from:expr; $($name:ident),* $(,)?) => {{
        let from = $from;
        let mut fields = Fields::new();
        $(fields.add(stringify!($name), from.$name.clone());)*
        fields
    }};
}

fn database(header: &DatabaseHeader) -> Fields {
    fields! { header;
        page_size,
        format_version, attributes, db_time, signature, state, consistent_position, consistent_time,
        attach_time, attach_position, detach_time, detach_position, database_id, log_signature,
        last_full_backup, last_incremental_backup, current_full_backup, flags, last_object_id, os_major,
        os_minor, os_build, os_service_pack, update_major, repair_count, repair_time, scrub_db_time,
        scrub_time, min_required, max_required, current_snapshot, create_version, create_update,
        max_committed_time, last_full_backup_kind, last_incremental_backup_kind, repair_count_old,
        corrected_count, corrected_time, corrected_count_old, correction_failed_count,
        correction_failed_time, correction_failed_count_old, bad_checksum_count, bad_checksum_time,
        bad_checksum_count_old, max_committed, last_copy_backup, last_differential_backup,
        last_copy_backup_kind, last_differential_backup_kind, reseed_count, reseed_time,
        reseed_count_old, page_patch_count, page_patch_time, page_patch_count_old, sort_version,
        scan_finished_time, scan_start_time, scan_highest_continuous, recovering, extend_count,
        extend_time, shrink_count, shrink_time, reattach_time, reattach_position, trim_count,
        header_flush_signature, flush_map_signature, min_consistent, update_minor, engine_format,
        scan_highest, resize_position, file_type, max_required_time, pre_redo_min_consistent,
        pre_redo_min_required, revert_snapshot_signature, revert_count, revert_from_time,
        revert_to_time, revert_page_count, commit_before_revert,
    }
}

fn log(header: &LogHeader) -> Fields {
    let mut fields = fields! { header;
        generation, sector_bytes, header_sectors, file_sectors, page_bytes, created, previous_created,
        signature, flags, checkpoint, disk_sector_code, engine_version,
    };
    fields.add("version", header.version.to_string());
    fields.add("previous_checksum", format!("{:#018x}", header.previous_checksum));
    fields.add("parameters", parameters(&header.params)).add("attached", attached(&header.attached));
    fields
}

/// The parameters of the engine that wrote a log or checkpoint.
pub(super) fn parameters(params: &DbmsParam) -> Fields {
    let mut fields = fields! { params;
        flags, max_sessions, max_open_tables, max_version_pages, max_cursors, log_buffers,
        log_file_sectors, max_cache_pages,
    };
    fields.add("system_path", String::from_utf8_lossy(&params.system_path).into_owned());
    fields.add("log_path", String::from_utf8_lossy(&params.log_path).into_owned());
    fields
}

/// The databases that a log header or checkpoint names.
pub(super) fn attached(entries: &[AttachEntry]) -> Value {
    let entry = |entry: &AttachEntry| {
        let mut fields = Fields::new();
        fields.add("path", entry.path());
        fields.add("database_id", entry.dbid).add("flags", entry.flags);
        fields.add("db_time", entry.db_time).add("last_object", entry.last_object);
        fields.add("max_pages", entry.max_pages).add("attach", entry.attach);
        fields.add("consistent", entry.consistent).add("signature", entry.signature);
        fields
    };
    Value::from(entries.iter().map(entry).collect::<Vec<_>>())
}
