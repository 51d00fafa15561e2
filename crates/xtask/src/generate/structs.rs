//! C structures from the table of their fields.

use super::Row;
use anyhow::{Context, Result, bail};
use std::fmt::Write;

/// One member of a structure.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) c_type: String,
    pub(crate) offset: u32,
    size: u32,
    bits: Option<(u32, u32)>,
    in_union: bool,
}

impl Field {
    pub(crate) fn end(&self) -> u32 {
        self.offset + self.size
    }

    pub(crate) fn is_bits(&self) -> bool {
        self.bits.is_some()
    }
}

/// One structure.
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) size: u32,
    pub(crate) align: u32,
    pub(crate) fields: Vec<Field>,
}

/// Structures outside the documented API that exported functions take or fill all the same.
const ALSO: &[&str] = &[
    "JET_SETDBPARAM",
    "JET_RSTMAP2_A",
    "JET_RSTMAP2_W",
    "JET_RSTINFO2_A",
    "JET_RSTINFO2_W",
    "JET_LOGINFOMISC",
    "JET_LOGINFOMISC2",
    "JET_LOGINFOMISC3",
];

/// The public structures in an order in which each is declared after those it contains.
pub(crate) fn public(sizes: &[Row], fields: &[Row]) -> Result<Vec<Struct>> {
    let mut waiting = Vec::new();
    for row in sizes.iter().filter(|row| row.get("public") == "yes" || ALSO.contains(&row.get("struct"))) {
        let name = row.get("struct").to_owned();
        let fields = fields
            .iter()
            .filter(|f| f.get("struct") == name)
            .map(field)
            .collect::<Result<Vec<_>>>()
            .with_context(|| name.clone())?;
        waiting.push(Struct {
            size: row.get("size").parse()?,
            align: row.get("align").parse()?,
            name,
            fields,
        });
    }
    let mut done: Vec<Struct> = Vec::new();
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|s| {
            s.fields
                .iter()
                .all(|f| !waiting.iter().any(|other| other.name != s.name && other.name == f.c_type))
        });
        let Some(ready) = ready else { bail!("structures contain each other") };
        done.push(waiting.remove(ready));
    }
    Ok(done)
}

fn field(row: &Row) -> Result<Field> {
    let bits = match (row.get("bit_offset"), row.get("bit_width")) {
        ("", "") => None,
        (offset, width) => Some((offset.parse()?, width.parse()?)),
    };
    Ok(Field {
        name: row.get("field").to_owned(),
        c_type: row.get("c_type").to_owned(),
        offset: row.get("offset").parse()?,
        size: row.get("size").parse()?,
        bits,
        in_union: row.get("in_union") == "yes",
    })
}

/// The API's spelling of a type of the tables.
pub(crate) fn c_type(name: &str) -> String {
    name.replace("short unsigned int32_t", "unsigned short")
        .replace("uint32_t", "JET_ULONG")
        .replace("int32_t", "JET_LONG")
        .replace("uint8_t", "unsigned char")
        .replace("uint64_t", "JET_UINT64")
        .replace("int64_t", "JET_INT64")
        .replace("WCHAR", "JET_WCHAR")
}

fn declare(out: &mut String, indent: &str, field: &Field) {
    let c_type = c_type(&field.c_type);
    let (base, array) = match c_type.find('[') {
        Some(at) => c_type.split_at(at),
        None => (c_type.as_str(), ""),
    };
    let space = if base.ends_with('*') { "" } else { " " };
    let bits = field.bits.map_or(String::new(), |(_, width)| format!(" : {width}"));
    let _ = writeln!(out, "{indent}{base}{space}{}{array}{bits};", field.name);
}

/// The declaration of one structure.
pub(crate) fn body(out: &mut String, s: &Struct) {
    if s.align == 1 {
        out.push_str("#pragma pack(push, 1)\n");
    }
    let _ = writeln!(out, "struct {} {{", s.name);
    let mut at = 0;
    while let Some(field) = s.fields.get(at) {
        if !field.in_union {
            declare(out, "    ", field);
            at += 1;
            continue;
        }
        let run = s.fields[at..].iter().take_while(|f| f.in_union).count();
        let fields = &s.fields[at..at + run];
        // Offsets that go back mean alternatives of several members; offsets that only grow mean one
        // union after the other, each of single members or a set of bits.
        if fields.windows(2).all(|w| w[0].offset <= w[1].offset) {
            let mut from = 0;
            while from < run {
                let end = fields[from].offset + fields[from].size;
                let mut to = from;
                let mut limit = end;
                while to < run && fields[to].offset < limit {
                    limit = limit.max(fields[to].offset + fields[to].size);
                    to += 1;
                }
                union(out, alternatives(&fields[from..to]));
                from = to;
            }
        } else {
            union(out, alternatives(fields));
        }
        at += run;
    }
    out.push_str("};\n");
    if s.align == 1 {
        out.push_str("#pragma pack(pop)\n");
    }
    out.push('\n');
}

/// Cuts the members of a union where one starts no later than the one before, except for bits that
/// follow bits.
fn alternatives(fields: &[Field]) -> Vec<&[Field]> {
    let mut all = Vec::new();
    let mut from = 0;
    for at in 1..=fields.len() {
        let cut = at == fields.len()
            || match (fields[at - 1].bits, fields[at].bits) {
                (Some((before, _)), Some((now, _))) => now <= before,
                _ => fields[at].offset <= fields[at - 1].offset,
            };
        if cut {
            all.push(&fields[from..at]);
            from = at;
        }
    }
    all
}

fn union(out: &mut String, alternatives: Vec<&[Field]>) {
    out.push_str("    ESENT_EXTENSION union {\n");
    for fields in alternatives {
        if fields.len() == 1 && !fields[0].is_bits() {
            declare(out, "        ", &fields[0]);
        } else {
            out.push_str("        struct {\n");
            fields.iter().for_each(|f| declare(out, "            ", f));
            out.push_str("        };\n");
        }
    }
    out.push_str("    };\n");
}
