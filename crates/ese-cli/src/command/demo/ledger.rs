//! What the demonstration keeps: accounts whose sum never changes, a log of all transfers between them, and
//! for each writer a ring of its latest transfers.
//!
//! One transfer changes two accounts, adds a log entry, adds to the ring and takes the oldest entry out of
//! it, all in one transaction. So each table can be checked against the others.

use ese::Result;
use ese::catalog::{KeyPart, NewColumn, NewIndex, NewTable};
use ese::raw::{Database, Session, Table};
use ese::table::{KeepOptions, Prepare, Seek};
use ese_format::column::{ColumnId, ColumnType};
use ese_format::key::MakeKeyFlags;

/// How many accounts there are.
pub(super) const ACCOUNTS: u32 = 400;
/// What each account has at first.
pub(super) const OPENING_BALANCE: i64 = 10_000;
/// How many of a writer's transfers are in its ring.
pub(super) const RING: u32 = 64;

/// JET_bitIndexUnique.
const UNIQUE: u32 = 0x1;
/// JET_bitIndexPrimary.
const PRIMARY: u32 = 0x2;

/// The names of tables, each with its secondary indexes.
pub(super) const TABLES: [(&str, &[&str]); 3] =
    [("Accounts", &["ByOwner", "ByBalance"]), ("Transfers", &["ByPayer", "ByText"]), ("Ring", &["ByAge"])];

/// A transfer by one of the writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transfer {
    /// Which writer.
    pub(super) writer: u32,
    /// Its how manieth transfer, from 1.
    pub(super) number: u32,
    pub(super) payer: u32,
    pub(super) payee: u32,
    pub(super) amount: i64,
}

impl Transfer {
    /// The transfer that a writer makes: everything follows from the two numbers, so that it can be checked.
    pub(super) fn new(writer: u32, number: u32) -> Self {
        let mut random = mix(u64::from(writer) << 32 | u64::from(number));
        let mut below = |limit: u64| {
            random = mix(random);
            random % limit
        };
        let payer = below(ACCOUNTS.into()) as u32;
        let payee = (payer + 1 + below(u64::from(ACCOUNTS) - 1) as u32) % ACCOUNTS;
        Self { writer, number, payer, payee, amount: 1 + below(500) as i64 }
    }

    /// Its key: the writer, then the number.
    pub(super) fn key(&self) -> i64 {
        i64::from(self.writer) << 32 | i64::from(self.number)
    }

    /// A text for an index.
    pub(super) fn text(&self) -> String {
        format!("{} pays {} to {}", owner(self.payer), self.amount, owner(self.payee))
    }

    /// The long value: of most transfers a few hundred bytes, of some up to 20 KB.
    pub(super) fn receipt(&self) -> Vec<u8> {
        let mut random = mix(self.key() as u64 ^ 0x5EED);
        let most = if random.is_multiple_of(8) { 20_000 } else { 400 };
        let bytes = (random >> 8) as usize % most;
        let mut receipt = Vec::with_capacity(bytes + 8);
        while receipt.len() < bytes {
            random = mix(random);
            receipt.extend_from_slice(&random.to_le_bytes());
        }
        receipt.truncate(bytes);
        receipt
    }
}

/// The owner of an account.
pub(super) fn owner(account: u32) -> String {
    const NAMES: [&str; 8] = ["Ada", "Blaise", "Chien", "Dorothy", "Edsger", "Frances", "Grace", "Hedy"];
    format!("{} {:03}", NAMES[account as usize % NAMES.len()], account / NAMES.len() as u32)
}

/// A number that follows from another without any pattern (the finalizer of SplitMix64).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Makes the tables.
pub(super) fn create(session: &Session, database: &Database) -> Result<()> {
    let number = |name| NewColumn::new(name, ColumnType::Long);
    let wide = |name| NewColumn::new(name, ColumnType::LongLong);
    let text = |name| NewColumn { code_page: 1200, ..NewColumn::new(name, ColumnType::LongText) };
    let up = |name| KeyPart { name, descending: false };
    let table = |name, columns: &[NewColumn<'_>], indexes: &[(&str, u32, &[KeyPart<'_>])]| {
        let indexes: Vec<NewIndex<'_>> = indexes
            .iter()
            .map(|&(name, grbit, columns)| NewIndex { name, grbit, columns, ..NewIndex::default() })
            .collect();
        database.create_table(&NewTable { name, columns, indexes: &indexes, ..NewTable::default() })
    };
    session.begin_transaction(false)?;
    table(
        "Accounts",
        &[number("Id"), wide("Balance"), text("Owner")],
        &[
            ("Primary", PRIMARY | UNIQUE, &[up("Id")]),
            ("ByOwner", UNIQUE, &[up("Owner")]),
            ("ByBalance", 0, &[KeyPart { name: "Balance", descending: true }]),
        ],
    )?;
    let receipt = NewColumn::new("Receipt", ColumnType::LongBinary);
    let columns = [wide("Id"), number("Payer"), number("Payee"), wide("Amount"), text("Text"), receipt];
    table(
        "Transfers",
        &columns,
        &[
            ("Primary", PRIMARY | UNIQUE, &[up("Id")]),
            ("ByPayer", 0, &[up("Payer"), up("Amount")]),
            ("ByText", 0, &[up("Text")]),
        ],
    )?;
    table(
        "Ring",
        &[wide("Id"), number("Number")],
        &[("Primary", PRIMARY | UNIQUE, &[up("Id")]), ("ByAge", 0, &[up("Number")])],
    )?;
    session.commit_transaction(false)
}

/// A table with its columns by name.
pub(super) struct Sheet {
    pub(super) table: Table,
    columns: Vec<(String, ColumnId)>,
}

impl Sheet {
    /// Opens a table.
    pub(super) fn open(database: &Database, name: &str) -> Result<Self> {
        let table = database.open_table(name)?;
        let columns = table.schema()?.columns.iter().map(|c| (c.name.to_string(), c.id)).collect();
        Ok(Self { table, columns })
    }

    fn column(&self, name: &str) -> Result<ColumnId> {
        let found = self.columns.iter().find(|(column, _)| column == name).map(|(_, id)| *id);
        found.ok_or_else(|| ese::Error::new(ese::JetErr::ColumnNotFound, name))
    }

    /// The bytes of a value of the current record; NULL is none.
    pub(super) fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.table.value(self.column(name)?, 1, false)
    }

    /// A number of the current record; NULL is 0.
    pub(super) fn number(&self, name: &str) -> Result<i64> {
        let bytes = self.bytes(name)?.unwrap_or_default();
        Ok(match (bytes.first_chunk::<8>(), bytes.first_chunk::<4>()) {
            (Some(bytes), _) => i64::from_le_bytes(*bytes),
            (None, Some(bytes)) => i32::from_le_bytes(*bytes).into(),
            _ => 0,
        })
    }

    /// A text of the current record; NULL is empty.
    pub(super) fn text(&self, name: &str) -> Result<String> {
        let bytes = self.bytes(name)?.unwrap_or_default();
        let (units, _) = bytes.as_chunks::<2>();
        Ok(String::from_utf16_lossy(&units.iter().map(|unit| u16::from_le_bytes(*unit)).collect::<Vec<_>>()))
    }

    /// To the record with a key of the primary index.
    pub(super) fn seek(&self, key: &[u8]) -> Result<()> {
        self.table.make_key(key, MakeKeyFlags::NEW_KEY)?;
        self.table.seek(Seek::Equal).map(drop)
    }

    /// Changes the current record, or adds one.
    pub(super) fn write(&self, kind: Prepare, values: &[(&str, &[u8])]) -> Result<()> {
        self.table.prepare(kind)?;
        let set = || {
            for (name, value) in values {
                self.table.set_value(self.column(name)?, 1, Some(value), KeepOptions::default())?;
            }
            self.table.update().map(drop)
        };
        set().inspect_err(|_| {
            // The error is that of the update; giving it up cannot say more.
            let _ = self.table.cancel();
        })
    }
}

/// The bytes of a text as columns have it.
fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The tables as one session has them open.
pub(super) struct Ledger {
    session: Session,
    pub(super) accounts: Sheet,
    pub(super) transfers: Sheet,
    pub(super) ring: Sheet,
}

impl Ledger {
    /// Opens the tables.
    pub(super) fn open(session: &Session, database: &Database) -> Result<Self> {
        Ok(Self {
            session: session.clone(),
            accounts: Sheet::open(database, TABLES[0].0)?,
            transfers: Sheet::open(database, TABLES[1].0)?,
            ring: Sheet::open(database, TABLES[2].0)?,
        })
    }

    /// Opens the accounts.
    pub(super) fn fill(&self) -> Result<()> {
        self.session.begin_transaction(false)?;
        for account in 0..ACCOUNTS {
            let (id, balance) = (account.to_le_bytes(), OPENING_BALANCE.to_le_bytes());
            let values: [(&str, &[u8]); 3] =
                [("Id", &id), ("Balance", &balance), ("Owner", &utf16(&owner(account)))];
            self.accounts.write(Prepare::Insert, &values)?;
        }
        self.session.commit_transaction(false)
    }

    /// Makes a transfer in a transaction of its own, durable on return.
    ///
    /// # Errors
    /// `WriteConflict` when another writer is at the same account: nothing has happened, and it may be tried
    /// again.
    pub(super) fn transfer(&self, transfer: &Transfer) -> Result<()> {
        self.session.begin_transaction(false)?;
        match self.change(transfer).and_then(|()| self.session.commit_transaction(false)) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.session.rollback_transaction(true)?;
                Err(error)
            }
        }
    }

    fn change(&self, transfer: &Transfer) -> Result<()> {
        let Transfer { payer, payee, amount, number, .. } = *transfer;
        for (account, amount) in [(payer, -amount), (payee, amount)] {
            self.accounts.seek(&account.to_le_bytes())?;
            let balance = self.accounts.number("Balance")? + amount;
            self.accounts.write(Prepare::Replace, &[("Balance", &balance.to_le_bytes())])?;
        }
        let id = transfer.key().to_le_bytes();
        self.transfers.write(
            Prepare::Insert,
            &[
                ("Id", &id),
                ("Payer", &payer.to_le_bytes()),
                ("Payee", &payee.to_le_bytes()),
                ("Amount", &amount.to_le_bytes()),
                ("Text", &utf16(&transfer.text())),
                ("Receipt", &transfer.receipt()),
            ],
        )?;
        self.ring.write(Prepare::Insert, &[("Id", &id), ("Number", &number.to_le_bytes())])?;
        if number > RING {
            let oldest = Transfer { number: number - RING, ..*transfer };
            self.ring.seek(&oldest.key().to_le_bytes())?;
            self.ring.table.delete()?;
        }
        Ok(())
    }
}
