//! What each transaction of each session does: everything follows from two numbers, so that whoever finds a
//! database can say what it must hold. `crates/esent/tests/c/kill.c` does the same from C.

/// So many of a session's latest transactions are kept; each deletes one that is older.
pub const WINDOW: i32 = 48;
/// Each transaction changes the one that came so many before it.
pub const TOUCH: i32 = 5;
/// Records that all sessions change.
pub const HOT: i32 = 16;
/// Every so many transactions a session of an even number makes a table and deletes its former one.
pub const SIDE: i32 = 10;
/// Records in such a table.
pub const SIDE_RECORDS: i32 = 3;

/// A number that follows from another without any pattern (the finalizer of SplitMix64).
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Bytes that follow from a number; every second time such that pack well. None of them looks like the first byte of
/// something packed: one of the independent readers goes by that.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut random = mix(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        if !seed.is_multiple_of(2) {
            random = mix(random);
        }
        bytes.extend(random.to_le_bytes().map(|byte| byte | 0x80));
    }
    bytes.truncate(len);
    bytes
}

/// A transaction: the `number`th of a session, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    pub session: i32,
    pub number: i32,
}

impl Deed {
    pub fn key(self) -> i64 {
        i64::from(self.session) << 32 | i64::from(self.number)
    }

    fn seed(self) -> u64 {
        mix(self.key() as u64)
    }

    /// Whether its commit does not wait for the disk.
    pub fn is_lazy(self) -> bool {
        self.seed().is_multiple_of(4)
    }

    pub fn parts(self) -> i32 {
        1 + (self.seed() >> 8 & 3) as i32
    }

    pub fn hot(self) -> i32 {
        (self.seed() >> 16) as i32 & (HOT - 1)
    }

    /// A name that orders otherwise than the key.
    pub fn name(self) -> String {
        format!("{:08x} of {}", mix(self.seed()) as u32, self.key())
    }

    pub fn part(self, number: i32) -> Part {
        let seed = mix(self.seed() ^ (number as u64 + 1));
        let most = if seed.is_multiple_of(8) { 12_000 } else { 300 };
        let body = bytes(seed, (seed >> 8) as usize % most);
        let tags = (0..(seed >> 40) as i32 & 3).map(|at| at * 1000 + self.number % 100).collect();
        Part { value: (seed >> 1) as i64, body, tags }
    }

    /// What is appended to the first part when the transaction is changed.
    pub fn appendix(self) -> Vec<u8> {
        let seed = mix(self.seed() ^ 0xA5A5);
        bytes(seed, 1 + (seed >> 8) as usize % 1500)
    }

    /// The transaction that came some before this one, if there is one.
    pub fn before(self, by: i32) -> Option<Self> {
        (self.number > by).then_some(Self { number: self.number - by, ..self })
    }

    /// The table that this transaction makes, if it makes one.
    pub fn side(self) -> Option<String> {
        let makes = self.session % 2 == 0 && self.number % SIDE == 0;
        makes.then(|| format!("Side{}x{}", self.session, self.number))
    }
}

/// One of the records that belong to a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub value: i64,
    pub body: Vec<u8>,
    pub tags: Vec<i32>,
}

/// What a part adds to the checksum of its transaction (FNV-1a of the body).
pub fn sum(value: i64, body: &[u8]) -> i64 {
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    value.wrapping_add(body.iter().fold(0xCBF2_9CE4_8422_2325, hash) as i64)
}
