//! A random life of an instance, and the model of it.

// By their paths, so that tests elsewhere can take this module by its own.
#[path = "workload/compact.rs"]
pub mod compact;
#[path = "workload/live_backup.rs"]
pub mod live_backup;

use crate::leaks::{Quiet, Trees};
use crate::model::{Database as Tables, Row, Shared, State, TableModel};
use crate::setup::Setup;
use ese::catalog::{ColumnOptions, KeyPart, NewColumn, NewIndex, NewTable};
use ese::raw::{
    AttachOptions, Database, DefragmentOptions, InitOptions, Instance, Resize, Session, Table, TermOptions,
};
use ese::table::{KeepOptions, Prepare, Seek};
use ese::{JetErr, Result};
use ese_format::column::{ColumnId, ColumnType};
use ese_format::key::MakeKeyFlags;
use ese_testbench::disk::DATABASES;
use ese_vfs::{SimDisk, SimRng};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Index flags (JET_bitIndex...).
const UNIQUE: u32 = 1;
const PRIMARY: u32 = 2;

/// Runs the whole workload of a setup; errors of the engine end it.
pub fn run(setup: Setup, disk: &SimDisk, history: &Shared) -> Result<()> {
    let mut rng = SimRng::new(setup.seed);
    let lives = 1 + rng.below(2);
    for life in 0..lives {
        let instance = setup.instance(disk, life, true, &history.pages);
        instance.init(InitOptions::default())?;
        let session = instance.begin_session()?;
        let mut databases = Vec::new();
        for path in DATABASES.iter().take(setup.databases) {
            databases.push(if history.get().created.contains(path) {
                session.attach(Path::new(path), AttachOptions::default())?;
                session.open(Path::new(path))?
            } else {
                let made = session.create(Path::new(path), setup.new_database())?;
                history.get().created.insert(path);
                made
            });
        }
        let state = history.last().as_ref().clone();
        let mut run = Run {
            setup,
            disk,
            tells: std::env::var_os("OPENESE_CRASH_TRACE").is_some(),
            instance,
            session,
            databases,
            rng: &mut rng,
            history,
            state,
        };
        run.quiet()?;
        if setup.extension < 256 && life == 0 {
            (0..setup.databases).try_for_each(|at| run.furnish(at))?;
        }
        for _ in 0..setup.steps {
            run.step()?;
        }
        let Run { instance, session, databases, .. } = run;
        drop((databases, session));
        instance.term(TermOptions::default())?;
        history.durable();
    }
    Ok(())
}

struct Run<'a> {
    setup: Setup,
    disk: &'a SimDisk,
    tells: bool,
    instance: Instance,
    session: Session,
    databases: Vec<Database>,
    rng: &'a mut SimRng,
    history: &'a Shared,
    /// As the session sees it.
    state: State,
}

fn index<'a>(name: &'a str, columns: &'a [KeyPart<'a>], grbit: u32) -> NewIndex<'a> {
    NewIndex { name, columns, grbit, ..NewIndex::default() }
}

/// Bytes that pack well or do not.
fn bytes(rng: &mut SimRng, len: usize) -> Vec<u8> {
    if rng.chance(1, 2) {
        return vec![rng.below(256) as u8; len];
    }
    (0..len).map(|_| rng.below(256) as u8).collect()
}

pub fn column(table: &Table, name: &str) -> Result<ColumnId> {
    Ok(table.schema()?.column(name).unwrap_or_else(|| panic!("no column {name}")).id)
}

impl Run<'_> {
    /// Tells what comes next, for whoever looks for the reason of a failure.
    fn note(&self, what: fmt::Arguments<'_>) {
        if self.tells {
            println!("  workload: {:>6} {what}", self.disk.operations());
        }
    }

    fn step(&mut self) -> Result<()> {
        match self.rng.below(100) {
            0..=77 => self.transaction(),
            92..=93 if self.setup.extension < 256 => self.churn(),
            78..=93 => {
                self.note(format_args!("step"));
                for _ in 0..=self.rng.below(3) {
                    self.instance.step_jobs();
                }
                if self.rng.chance(1, 2) { self.quiet() } else { Ok(()) }
            }
            94 => self.read_something(),
            95..=96 => {
                let at = self.any_database();
                self.resize(at)
            }
            97 => self.defragment(),
            _ => self.reattach(),
        }
    }

    /// Lets the background finish, and notes that nothing is under way.
    fn quiet(&mut self) -> Result<()> {
        for _ in 0..6 {
            self.instance.step_jobs();
        }
        let mut quiet = Quiet::default();
        for (path, database) in DATABASES.iter().zip(&self.databases) {
            quiet.databases.insert(path, Trees::of(database)?);
        }
        self.history.get().quiet_soon = Some(quiet);
        Ok(())
    }

    /// Detaches a database and attaches it again.
    fn reattach(&mut self) -> Result<()> {
        let at = self.rng.below(self.databases.len() as u64) as usize;
        self.note(format_args!("reattach {at}"));
        let path = Path::new(DATABASES[at]);
        self.databases.remove(at).close();
        self.session.detach(Some(path))?;
        self.session.attach(path, AttachOptions::default())?;
        self.databases.insert(at, self.session.open(path)?);
        Ok(())
    }

    /// A database, whose trees may all be changed now.
    fn any_database(&mut self) -> usize {
        let at = self.rng.below(self.databases.len() as u64) as usize;
        let names: Vec<String> = self.tables(at).keys().cloned().collect();
        names.iter().for_each(|name| self.history.touched(DATABASES[at], name));
        at
    }

    /// A file becomes smaller, pages moving for that, or larger.
    fn resize(&mut self, at: usize) -> Result<()> {
        let pages = self.databases[at].pages()?;
        let wanted = if self.rng.chance(1, 3) { pages + self.rng.below(60) as u32 } else { 1 };
        let resized = self.databases[at].resize(wanted, Resize::Both)?;
        self.note(format_args!("resize {at} from {pages} to {wanted}: {resized:?}"));
        Ok(())
    }

    /// Makes tables whose roots are at the beginning of the file: none is in the way when its end goes.
    fn furnish(&mut self, at: usize) -> Result<()> {
        for _ in 0..2 {
            self.committed(|run| run.create_table(at))?;
        }
        let names: Vec<String> = self.tables(at).keys().cloned().collect();
        self.committed(|run| names.iter().try_for_each(|name| (0..8).try_for_each(|_| run.insert(at, name))))
    }

    /// A table comes, others get pages behind it, it goes: their pages move before the end of the file.
    fn churn(&mut self) -> Result<()> {
        let at = self.any_database();
        self.note(format_args!("churn {at}"));
        let there: Vec<String> = self.tables(at).keys().cloned().collect();
        let Some(name) = self.committed(|run| {
            run.create_table(at)?;
            let name = run.tables(at).keys().find(|name| !there.contains(name)).cloned();
            if let Some(name) = &name {
                (0..12).try_for_each(|_| run.insert(at, name))?;
            }
            Ok(name)
        })?
        else {
            return Ok(());
        };
        self.committed(|run| {
            there.iter().try_for_each(|name| (0..6).try_for_each(|_| run.insert(at, name)))
        })?;
        self.committed(|run| {
            run.note(format_args!("drop {at} {name}"));
            run.databases[at].delete_table(&name)?;
            run.tables(at).remove(&name);
            Ok(())
        })?;
        self.quiet()?;
        self.resize(at)
    }

    /// Does something in a transaction of its own, which commits lazily.
    fn committed<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.session.begin_transaction(false)?;
        let value = act(self)?;
        self.history.committing(self.state.clone());
        self.session.commit_transaction(true)?;
        Ok(value)
    }

    /// Pages that have room for each other are merged.
    fn defragment(&mut self) -> Result<()> {
        let at = self.any_database();
        let no_partial_merges = self.rng.chance(1, 2);
        let options =
            DefragmentOptions { passes: Some(1), no_partial_merges, ..DefragmentOptions::default() };
        let done = self.databases[at].defragment(options)?;
        self.note(format_args!("defragment {at}: {done:?}"));
        Ok(())
    }

    /// Reads fill the cache with other pages.
    fn read_something(&mut self) -> Result<()> {
        let at = self.rng.below(self.databases.len() as u64) as usize;
        let Some(name) = self.any_table(at) else { return Ok(()) };
        let table = self.databases[at].open_table(&name)?;
        let mut count = 0;
        loop {
            match table.move_next(false) {
                Ok(()) => count += 1,
                Err(error) if error.code() == JetErr::NoCurrentRecord => break,
                Err(error) => return Err(error),
            }
        }
        let wanted = self.tables(at).get(&name).map_or(0, |t| t.rows.len());
        assert_eq!(count, wanted, "{:?}: records of {name} at run time", self.setup);
        Ok(())
    }

    fn tables(&mut self, at: usize) -> &mut Tables {
        self.state.entry(DATABASES[at]).or_default()
    }

    fn any_table(&mut self, at: usize) -> Option<String> {
        let names: Vec<String> = self.tables(at).keys().cloned().collect();
        if names.is_empty() {
            return None;
        }
        Some(names[self.rng.below(names.len() as u64) as usize].clone())
    }

    fn transaction(&mut self) -> Result<()> {
        self.note(format_args!("begin"));
        self.session.begin_transaction(false)?;
        let before = self.state.clone();
        let mut saved = Vec::new();
        let changes = match self.rng.below(6) {
            0 => 12 + self.rng.below(30),
            1 => 1,
            _ => 1 + self.rng.below(8),
        };
        for _ in 0..changes {
            self.change()?;
            match self.rng.below(20) {
                0 if saved.len() < 4 => {
                    self.note(format_args!("begin a level"));
                    self.session.begin_transaction(false)?;
                    saved.push(self.state.clone());
                }
                1 if !saved.is_empty() => {
                    self.note(format_args!("commit a level"));
                    self.session.commit_transaction(true)?;
                    saved.pop();
                }
                2 if !saved.is_empty() => {
                    self.note(format_args!("roll back a level"));
                    self.session.rollback_transaction(false)?;
                    self.state = saved.pop().unwrap();
                }
                3 => {
                    self.note(format_args!("step"));
                    self.instance.step_jobs();
                }
                _ => {}
            }
        }
        if self.rng.chance(1, 6) {
            self.note(format_args!("roll back"));
            self.session.rollback_transaction(true)?;
            self.state = before;
            return Ok(());
        }
        while saved.pop().is_some() {
            self.session.commit_transaction(true)?;
        }
        let lazy = self.rng.chance(1, 2);
        self.note(format_args!("commit, lazy {lazy}"));
        self.history.committing(self.state.clone());
        self.session.commit_transaction(lazy)?;
        // A transaction without changes has nothing to wait for, not even for lazy ones before it.
        if !lazy && self.state != before {
            self.history.durable();
        }
        Ok(())
    }

    fn change(&mut self) -> Result<()> {
        let at = self.rng.below(self.databases.len() as u64) as usize;
        let tables = self.tables(at).len();
        let Some(name) = self.any_table(at) else { return self.create_table(at) };
        self.history.touched(DATABASES[at], &name);
        match self.rng.below(200) {
            0..=3 if tables < 4 => self.create_table(at),
            4..=5 => {
                self.note(format_args!("drop {at} {name}"));
                self.databases[at].delete_table(&name)?;
                self.tables(at).remove(&name);
                Ok(())
            }
            6..=9 => self.change_indexes(at, &name),
            10..=11 => self.add_column(at, &name),
            12..=99 => self.insert(at, &name),
            100..=149 => self.replace(at, &name),
            150..=152 => self.delete_many(at, &name),
            _ => self.delete(at, &name),
        }
    }

    fn create_table(&mut self, at: usize) -> Result<()> {
        let name = format!("T{}", self.rng.below(1000));
        if self.tables(at).contains_key(&name) {
            return Ok(());
        }
        let columns = [
            NewColumn::new("Id", ColumnType::Long),
            NewColumn::new("Code", ColumnType::Text),
            NewColumn::new("Fixed", ColumnType::Long),
            NewColumn {
                grbit: (ColumnOptions::TAGGED | ColumnOptions::MULTI_VALUED).bits(),
                ..NewColumn::new("Tags", ColumnType::Long)
            },
            NewColumn::new("Blob", ColumnType::LongBinary),
        ];
        let (id, code, tags) = ([part("Id")], [part("Code")], [part("Tags")]);
        let indexes =
            [index("ById", &id, UNIQUE | PRIMARY), index("ByCode", &code, UNIQUE), index("ByTags", &tags, 0)];
        let new = NewTable { name: &name, columns: &columns, indexes: &indexes, ..NewTable::default() };
        self.note(format_args!("create {at} {name}"));
        self.history.touched(DATABASES[at], &name);
        self.databases[at].create_table(&new)?;
        self.tables(at).insert(name, Arc::default());
        Ok(())
    }

    fn model(&mut self, at: usize, name: &str) -> &mut TableModel {
        Arc::make_mut(self.tables(at).get_mut(name).expect("a table of the model"))
    }

    fn change_indexes(&mut self, at: usize, name: &str) -> Result<()> {
        let index_name = format!("X{}", self.rng.below(3));
        let descending = self.rng.chance(1, 2);
        let table = self.databases[at].open_table(name)?;
        if self.model(at, name).indexes.contains_key(&index_name) {
            self.note(format_args!("delete index {at} {name} {index_name}"));
            table.delete_index(&index_name)?;
            self.model(at, name).indexes.remove(&index_name);
            return Ok(());
        }
        let columns = [KeyPart { name: "Fixed", descending }];
        self.note(format_args!("create index {at} {name} {index_name}"));
        table.create_index(&index(&index_name, &columns, 0))?;
        self.model(at, name).indexes.insert(index_name, descending);
        Ok(())
    }

    fn add_column(&mut self, at: usize, name: &str) -> Result<()> {
        let new = format!("More{}", self.rng.below(4));
        if self.model(at, name).more_columns.contains(&new) {
            return Ok(());
        }
        let table = self.databases[at].open_table(name)?;
        self.note(format_args!("add column {at} {name} {new}"));
        table.add_column(&NewColumn::new(&new, ColumnType::Long))?;
        self.model(at, name).more_columns.insert(new);
        Ok(())
    }

    fn key(&mut self) -> i32 {
        // Ascending keys now and then, else anywhere.
        self.rng.below(4000) as i32
    }

    fn blob(&mut self) -> Option<Vec<u8>> {
        let page = self.setup.page_size.bytes() as u64;
        let len = match self.rng.below(8) {
            0 | 1 => return None,
            2..=4 => self.rng.below(200),
            5 | 6 => self.rng.below(page),
            _ => self.rng.below(4 * page),
        };
        Some(bytes(self.rng, len as usize))
    }

    fn insert(&mut self, at: usize, name: &str) -> Result<()> {
        let key = self.key();
        if self.model(at, name).rows.contains_key(&key) {
            return Ok(());
        }
        let table = self.databases[at].open_table(name)?;
        table.prepare(Prepare::Insert)?;
        let set = |name: &str, instance, value: &[u8]| {
            table.set_value(column(&table, name)?, instance, Some(value), KeepOptions::default())
        };
        let row = Row {
            code: format!("{:03}-{key}-{}", self.rng.below(1000), "x".repeat(self.rng.below(30) as usize)),
            fixed: self.rng.chance(3, 4).then(|| self.rng.below(50) as i32),
            tags: (0..self.rng.below(4)).map(|_| self.rng.below(100) as i32).collect(),
            blob: self.blob().map(Arc::new),
            more: self
                .model(at, name)
                .more_columns
                .clone()
                .into_iter()
                .map(|name| (name, self.rng.below(9) as i32))
                .collect(),
        };
        set("Id", 1, &key.to_le_bytes())?;
        set("Code", 1, row.code.as_bytes())?;
        if let Some(fixed) = row.fixed {
            set("Fixed", 1, &fixed.to_le_bytes())?;
        }
        for tag in &row.tags {
            set("Tags", 0, &tag.to_le_bytes())?;
        }
        if let Some(blob) = &row.blob {
            set("Blob", 1, blob)?;
        }
        for (name, value) in &row.more {
            set(name, 1, &value.to_le_bytes())?;
        }
        self.finish(&table, at, name, key, row)
    }

    /// Carries the prepared update out, or gives it up.
    fn finish(&mut self, table: &Table, at: usize, name: &str, key: i32, row: Row) -> Result<()> {
        if self.rng.chance(1, 30) {
            self.note(format_args!("cancel {at} {name} {key}"));
            return table.cancel();
        }
        table.update()?;
        self.note(format_args!("put {at} {name} {key} {:?}", row.blob.as_ref().map(|b| b.len())));
        self.model(at, name).rows.insert(key, row);
        Ok(())
    }

    /// A table with its cursor on some record.
    fn on_record(&mut self, at: usize, name: &str) -> Result<Option<(Table, i32)>> {
        let keys: Vec<i32> = self.model(at, name).rows.keys().copied().collect();
        if keys.is_empty() {
            return Ok(None);
        }
        let key = keys[self.rng.below(keys.len() as u64) as usize];
        let table = self.databases[at].open_table(name)?;
        if self.rng.chance(1, 3) {
            table.set_index(Some("ByCode"))?;
            let code = self.model(at, name).rows[&key].code.clone();
            table.make_key(code.as_bytes(), MakeKeyFlags::NEW_KEY)?;
        } else {
            table.make_key(&key.to_le_bytes(), MakeKeyFlags::NEW_KEY)?;
        }
        table.seek(Seek::Equal)?;
        Ok(Some((table, key)))
    }

    fn replace(&mut self, at: usize, name: &str) -> Result<()> {
        let Some((table, key)) = self.on_record(at, name)? else { return Ok(()) };
        let mut row = self.model(at, name).rows[&key].clone();
        table.prepare(Prepare::Replace)?;
        let set = |name: &str, instance, value: Option<&[u8]>| {
            table.set_value(column(&table, name)?, instance, value, KeepOptions::default())
        };
        if self.rng.chance(1, 3) {
            row.code =
                format!("{:03}-{key}-{}", self.rng.below(1000), "y".repeat(self.rng.below(60) as usize));
            set("Code", 1, Some(row.code.as_bytes()))?;
        }
        if self.rng.chance(1, 3) {
            row.fixed = self.rng.chance(3, 4).then(|| self.rng.below(50) as i32);
            set("Fixed", 1, row.fixed.map(i32::to_le_bytes).as_ref().map(|b| &b[..]))?;
        }
        if self.rng.chance(1, 4) {
            let tag = self.rng.below(100) as i32;
            if row.tags.len() < 6 {
                row.tags.push(tag);
                set("Tags", 0, Some(&tag.to_le_bytes()))?;
            } else {
                row.tags.remove(0);
                set("Tags", 1, None)?;
            }
        }
        match self.rng.below(4) {
            0 => {
                row.blob = self.blob().map(Arc::new);
                set("Blob", 1, row.blob.as_ref().map(|b| &b[..]))?;
            }
            1 if row.blob.as_ref().is_some_and(|blob| blob.len() < 60_000) => {
                let len = self.rng.below(3000) as usize;
                let added = bytes(self.rng, len);
                table.write_value(column(&table, "Blob")?, 1, None, &added, false)?;
                Arc::make_mut(row.blob.as_mut().unwrap()).extend_from_slice(&added);
            }
            2 if row.blob.as_ref().is_some_and(|blob| !blob.is_empty()) => {
                let blob = Arc::make_mut(row.blob.as_mut().unwrap());
                let offset = self.rng.below(blob.len() as u64) as usize;
                let len = self.rng.below(500) as usize;
                let put = bytes(self.rng, len);
                table.write_value(column(&table, "Blob")?, 1, Some(offset), &put, false)?;
                let end = blob.len().max(offset + len);
                blob.resize(end, 0);
                blob[offset..offset + len].copy_from_slice(&put);
            }
            _ => {}
        }
        self.finish(&table, at, name, key, row)
    }

    fn delete(&mut self, at: usize, name: &str) -> Result<()> {
        let Some((table, key)) = self.on_record(at, name)? else { return Ok(()) };
        self.note(format_args!("delete {at} {name} {key}"));
        table.delete()?;
        self.model(at, name).rows.remove(&key);
        Ok(())
    }

    /// A run of neighbours: pages become empty.
    fn delete_many(&mut self, at: usize, name: &str) -> Result<()> {
        for _ in 0..10 + self.rng.below(60) {
            let Some(key) = self.model(at, name).rows.keys().next().copied() else { break };
            let table = self.databases[at].open_table(name)?;
            table.make_key(&key.to_le_bytes(), MakeKeyFlags::NEW_KEY)?;
            table.seek(Seek::Equal)?;
            self.note(format_args!("delete {at} {name} {key}"));
            table.delete()?;
            self.model(at, name).rows.remove(&key);
        }
        Ok(())
    }
}

fn part(name: &str) -> KeyPart<'_> {
    KeyPart { name, descending: false }
}
