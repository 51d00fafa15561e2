//! Writes an empty database: `empty_database PAGE-SIZE FILE`.

use ese_format::empty::EmptyDatabase;
use ese_format::{LogTime, PageSize, Signature};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(size), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: empty_database PAGE-SIZE FILE".into());
    };
    let size = PageSize::from_bytes(size.parse()?).ok_or("no such page size")?;
    let time = LogTime::from_utc(2024, 1, 1, 0, 0, 0, 0);
    let signature = Signature { random: 0x0DE0_5E01, created: time, computer: [0; 16] };
    let mut file = File::create(path)?;
    EmptyDatabase::new(size, signature, time).write_to(|offset, bytes| {
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    })?;
    Ok(())
}
