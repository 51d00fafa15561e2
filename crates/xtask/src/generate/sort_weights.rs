//! The weights of Windows sort keys: from `tables/sort-weights` to `ese_format::sort_key::tables`.
//!
//! Every sort gets a table of 256 page numbers; the pages, of 256 weights each, are shared wherever they are
//! equal, so that a tailored sort costs only the pages in which it differs and no sort costs memory that it
//! does not use: the tables are read where they lie in the program.

use super::{Output, Row, parse_table};
use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Script member, primary, diacritic and case weight.
type Weight = [u8; 4];
type Weights = BTreeMap<u16, Weight>;
/// Weights by unit, and the supplementary code points that have one weight.
type Tailoring = (Weights, BTreeMap<u32, Weight>);

/// Set in the case weight of units that can start a contraction, and of supplementary code points that are
/// one: the published case weights have six bits.
const CONTRACTION: u8 = 0x80;

/// The plane in which all ideographs with one weight lie.
const PLANE: std::ops::RangeInclusive<u32> = 0x2_0000..=0x2_FFFF;
/// The high surrogates of that plane.
const HIGH_SURROGATES: std::ops::RangeInclusive<u16> = 0xD840..=0xD87F;

/// The longest contraction.
const CONTRACTION_UNITS: usize = 8;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tables/sort-weights")
}

/// A file's content, unpacked if its name says that it is packed.
fn read(name: &str) -> Result<Vec<u8>> {
    let path = folder().join(name);
    let stored = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if !name.ends_with(".gz") {
        return Ok(stored);
    }
    let mut plain = Vec::new();
    GzDecoder::new(&stored[..]).read_to_end(&mut plain).with_context(|| format!("cannot unpack {name}"))?;
    Ok(plain)
}

fn rows(name: &str) -> Result<Vec<Row>> {
    parse_table(csv::Reader::from_reader(&read(name)?[..]))
}

fn number<T: FromStr<Err = std::num::ParseIntError>>(row: &Row, column: &str) -> Result<T> {
    row.get(column).parse().with_context(|| format!("column {column} holds {:?}", row.get(column)))
}

fn unit(text: &str) -> Result<u16> {
    u16::from_str_radix(text, 16).with_context(|| format!("{text:?} is no unit"))
}

fn weight(row: &Row) -> Result<Weight> {
    let weight = [number(row, "sm")?, number(row, "pw")?, number(row, "dw")?, number(row, "cw")?];
    ensure!(weight[3] & CONTRACTION == 0, "a case weight has more than six bits");
    Ok(weight)
}

/// Pages of 256 weights, each only once.
struct Pages {
    bytes: Vec<u8>,
    known: HashMap<Vec<u8>, u16>,
}

impl Pages {
    /// Page 0 is that of units without weights.
    fn new() -> Self {
        let empty = vec![0; 1024];
        Self { bytes: empty.clone(), known: HashMap::from([(empty, 0)]) }
    }

    fn add(&mut self, page: Vec<u8>) -> Result<u16> {
        if let Some(&number) = self.known.get(&page) {
            return Ok(number);
        }
        let number = u16::try_from(self.known.len()).context("too many pages")?;
        self.bytes.extend_from_slice(&page);
        self.known.insert(page, number);
        Ok(number)
    }

    /// Adds the 256 pages of a plane and appends their numbers to `index`.
    fn add_plane(&mut self, index: &mut Vec<u8>, weight: impl Fn(u16) -> Weight) -> Result<u16> {
        let number = u16::try_from(index.len() / 512)?;
        for high in 0..=255u8 {
            let page = (0..=255u8).flat_map(|low| weight(u16::from_be_bytes([high, low]))).collect();
            index.extend_from_slice(&self.add(page)?.to_le_bytes());
        }
        Ok(number)
    }
}

/// The tailoring in a file of a large sort.
fn large_sort(name: &str) -> Result<Tailoring> {
    let mut tailoring = Tailoring::default();
    let (mut code_point, mut weight, mut step) = (0i64, 0i64, 0i64);
    for line in String::from_utf8(read(name)?)?.lines() {
        let (distance, new_step) = line.split_once(',').map_or((line, None), |(d, w)| (d, Some(w)));
        if let Some(new_step) = new_step {
            step = new_step.parse()?;
        }
        code_point += distance.parse::<i64>()?;
        weight += step;
        let mut bytes = u32::try_from(weight)?.to_be_bytes();
        ensure!(bytes[3] & CONTRACTION == 0, "a case weight has more than six bits");
        match u16::try_from(code_point) {
            Ok(unit) => drop(tailoring.0.insert(unit, bytes)),
            Err(_) => {
                let code_point = u32::try_from(code_point)?;
                ensure!(PLANE.contains(&code_point), "{name} has code point {code_point:X}");
                bytes[3] |= CONTRACTION;
                tailoring.1.insert(code_point, bytes);
            }
        }
    }
    Ok(tailoring)
}

/// One contraction as the tables have it: its units, big-endian and padded with zeros, and its weight.
type Contraction = ([u8; 2 * CONTRACTION_UNITS], Weight);

fn contractions() -> Result<BTreeMap<u16, Vec<Contraction>>> {
    let mut tables: BTreeMap<u16, Vec<Contraction>> = BTreeMap::new();
    for row in rows("contractions.csv.gz")? {
        let units = row.get("units").split(' ').map(unit).collect::<Result<Vec<_>>>()?;
        ensure!((2..=CONTRACTION_UNITS).contains(&units.len()) && !units.contains(&0), "an odd contraction");
        let mut padded = [0; 2 * CONTRACTION_UNITS];
        for (place, unit) in padded.as_chunks_mut::<2>().0.iter_mut().zip(units) {
            *place = unit.to_be_bytes();
        }
        tables.entry(number(&row, "table")?).or_default().push((padded, weight(&row)?));
    }
    for table in tables.values_mut() {
        table.sort_unstable();
    }
    Ok(tables)
}

/// The weights in which each sort differs, normally and under linguistic casing.
fn exceptions() -> Result<BTreeMap<(u8, bool), Weights>> {
    let mut sorts: BTreeMap<(u8, bool), Weights> = BTreeMap::new();
    for row in rows("exceptions.csv.gz")? {
        let linguistic = match row.get("casing") {
            "n" => false,
            "l" => true,
            other => bail!("casing {other:?}"),
        };
        let of_sort = sorts.entry((number(&row, "sort")?, linguistic)).or_default();
        of_sort.insert(unit(row.get("unit"))?, weight(&row)?);
    }
    Ok(sorts)
}

fn expansions() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (index, row) in rows("expansions.csv")?.iter().enumerate() {
        ensure!(number::<usize>(row, "index")? == index, "expansion {index} is missing");
        bytes.extend_from_slice(&unit(row.get("first"))?.to_le_bytes());
        bytes.extend_from_slice(&unit(row.get("second"))?.to_le_bytes());
    }
    Ok(bytes)
}

fn jamo() -> Result<Vec<u8>> {
    let mut rows = rows("jamo.csv")?
        .iter()
        .map(|row| Ok((unit(row.get("unit"))?, row_bytes(row)?)))
        .collect::<Result<Vec<(u16, [u8; 5])>>>()?;
    rows.sort_unstable();
    let mut bytes = Vec::new();
    for (unit, rest) in rows {
        // Big-endian, so that the rows are in order as bytes; a last byte makes them eight.
        bytes.extend_from_slice(&unit.to_be_bytes());
        bytes.extend_from_slice(&rest);
        bytes.push(0);
    }
    Ok(bytes)
}

fn row_bytes(row: &Row) -> Result<[u8; 5]> {
    Ok([
        number(row, "old")?,
        number(row, "leading")?,
        number(row, "vowel")?,
        number(row, "trailing")?,
        number(row, "weight")?,
    ])
}

/// Everything that the sort keys need.
pub(crate) fn outputs() -> Result<Vec<Output>> {
    let mut default = Weights::new();
    for row in rows("default.csv.gz")? {
        default.insert(unit(row.get("unit"))?, weight(&row)?);
    }
    let (exceptions, contraction_tables) = (exceptions()?, contractions()?);
    let mut contractions = Vec::new();
    let mut contraction_ranges = BTreeMap::new();
    for (&number, table) in &contraction_tables {
        let start = contractions.len() / 20;
        for (units, weight) in table {
            contractions.extend_from_slice(units);
            contractions.extend_from_slice(weight);
        }
        contraction_ranges.insert(number, (start, contractions.len() / 20));
    }

    let (mut pages, mut index) = (Pages::new(), Vec::new());
    let mut code = String::from(
        "// Generated by `cargo xtask generate` from sort-weights. Do not edit.\n\n\
         use super::{SortFlags, SortRow};\n\n\
         /// The sorts, by number less one.\n#[rustfmt::skip]\npub(super) static SORTS: &[SortRow] = &[\n",
    );
    for (at, row) in rows("sorts.csv")?.iter().enumerate() {
        let sort: u8 = number(row, "sort")?;
        ensure!(usize::from(sort) == at + 1, "sort {} is missing", at + 1);
        let guid = format!("{sort:08x}-57ee-1e5c-00b4-d0000bb1e11e");
        ensure!(row.get("guid") == guid, "sort {sort} has another GUID");
        let (large, supplementary) = match row.get("big_file") {
            "-" => Tailoring::default(),
            name => large_sort(name)?,
        };
        let table = match row.get("contractions") {
            "-" => None,
            number => Some(number.parse::<u16>()?),
        };
        let starts: Vec<u16> = match table {
            Some(number) => contraction_tables
                .get(&number)
                .context("no such contraction table")?
                .iter()
                .map(|(units, _)| u16::from_be_bytes([units[0], units[1]]))
                .collect(),
            None if !supplementary.is_empty() => HIGH_SURROGATES.collect(),
            None => Vec::new(),
        };
        let mut plane = |exceptions: Option<&Weights>| {
            pages.add_plane(&mut index, |unit| {
                let tailored = exceptions.and_then(|e| e.get(&unit)).or_else(|| large.get(&unit));
                let mut weight = tailored.or_else(|| default.get(&unit)).copied().unwrap_or_default();
                if starts.contains(&unit) {
                    weight[3] |= CONTRACTION;
                }
                weight
            })
        };
        let normal = plane(exceptions.get(&(sort, false)))?;
        let linguistic = match exceptions.get(&(sort, true)) {
            Some(exceptions) => plane(Some(exceptions))?,
            None => normal,
        };
        let supplementary = match supplementary.is_empty() {
            true => "None".to_owned(),
            false => format!(
                "Some({})",
                pages.add_plane(&mut index, |low| {
                    supplementary.get(&(PLANE.start() + u32::from(low))).copied().unwrap_or_default()
                })?
            ),
        };
        let (start, end) = table.and_then(|t| contraction_ranges.get(&t).copied()).unwrap_or_default();
        let flags = match row.get("flags") {
            "-" => "SortFlags::empty()".to_owned(),
            flag => format!("SortFlags::{flag}"),
        };
        writeln!(
            code,
            "    SortRow {{ flags: {flags}, units: {normal}, linguistic: {linguistic}, \
             supplementary: {supplementary}, contractions: ({start}, {end}) }},"
        )?;
    }
    code.push_str("];\n");
    write_locales(&mut code)?;
    write_evidence(&mut code)?;
    let file = |name: &'static str, content: Vec<u8>| Output { path: name, content };
    Ok(vec![
        file("crates/ese-format/src/sort_key/tables/weights.bin", pages.bytes),
        file("crates/ese-format/src/sort_key/tables/index.bin", index),
        file("crates/ese-format/src/sort_key/tables/contractions.bin", contractions),
        file("crates/ese-format/src/sort_key/tables/expansions.bin", expansions()?),
        file("crates/ese-format/src/sort_key/tables/jamo.bin", jamo()?),
        file("crates/ese-format/src/sort_key/tables/generated.rs", code.into_bytes()),
    ])
}

fn write_locales(code: &mut String) -> Result<()> {
    let mut locales = BTreeMap::new();
    for row in rows("locales.csv")? {
        locales.insert(row.get("locale").to_ascii_lowercase().replace('_', "-"), number::<u8>(&row, "sort")?);
    }
    code.push_str(
        "\n/// Locales that do not use sort 1: names in small letters with hyphens, in order.\n\
         #[rustfmt::skip]\npub(super) static LOCALES: &[(&str, u8)] = &[\n",
    );
    for (name, sort) in locales {
        writeln!(code, "    (\"{name}\", {sort}),")?;
    }
    code.push_str("];\n");
    Ok(())
}

fn write_evidence(code: &mut String) -> Result<()> {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for row in rows("evidence.csv")? {
        let (first, last) = (unit(row.get("first"))?, unit(row.get("last"))?);
        match ranges.last_mut() {
            Some((_, end)) if u32::from(*end) + 1 == u32::from(first) => *end = last,
            before => {
                ensure!(before.is_none_or(|(_, end)| *end < first), "the evidence is not in order");
                ranges.push((first, last));
            }
        }
    }
    code.push_str(
        "\n/// The first and last units of ranges whose weights are proven for versions 6.2.x.\n\
         #[rustfmt::skip]\npub(super) static PROVEN: &[(u16, u16)] = &[\n",
    );
    for (first, last) in ranges {
        writeln!(code, "    (0x{first:04X}, 0x{last:04X}),")?;
    }
    code.push_str("];\n");
    Ok(())
}
