//! The versions of transactions that have to be undone, built again from the log.
//!
//! Where a page needs the change, the before-image is taken from the page, and the page must not be written
//! until the image is in the log. Where the page has the change already, it was written, so the image was
//! logged before: it comes in an UndoInfo record.

use super::sessions::RedoSession;
use crate::buffer::CachedFile;
use crate::error::{Error, JetErr, Result};
use crate::sync::{Arc, Weak};
use crate::version::{Bookmark, Change, NewVersion, Node, RaiseDurable, TreeId};
use ese_format::log::record::{LogRecord, NodePrefix, PagePrefix, UndoInfo, VersionOperation};
use ese_format::page::Page;
use ese_format::{LogPosition, ObjectId, PageNumber};

/// A node as it was before a change.
pub(super) struct Before {
    pub(super) key: Vec<u8>,
    pub(super) data: Vec<u8>,
}

impl Before {
    /// The node that a record changes, if its version needs to know it. The page is as it was before.
    pub(super) fn on_page(page: &Page<'_>, record: &LogRecord) -> Option<Self> {
        let prefix = record.node_prefix()?;
        let is_wanted = matches!(
            record,
            LogRecord::FlagDelete(_)
                | LogRecord::Replace(_)
                | LogRecord::ReplaceDiff(_)
                | LogRecord::FlagInsertAndReplaceData(_)
        );
        if !is_wanted || !prefix.page.is_versioned() {
            return None;
        }
        let node = page.node(prefix.page.line.into()).ok()?;
        Some(Self { key: node.key(), data: node.data.to_vec() })
    }
}

/// What a record leaves to be undone.
pub(super) struct Versions<'a> {
    pub(super) session: &'a mut RedoSession,
    pub(super) file: &'a Arc<CachedFile>,
}

impl Versions<'_> {
    /// Enters the versions of a record. `before` is the node before, when the page needs the change; without
    /// it the image is awaited where one is needed. Returns by how much the page's reserve for rollbacks
    /// changes.
    pub(super) fn enter(&mut self, record: &LogRecord, before: Option<&Before>) -> i32 {
        let Some(prefix) = record.node_prefix() else { return 0 };
        if !self.session.keeps_versions || !prefix.page.is_versioned() {
            return 0;
        }
        let id = prefix.version_id;
        match record {
            LogRecord::Insert(r) => {
                self.put(prefix, id, &[&r.prefix[..], &r.suffix].concat(), &r.data, Change::Insert);
            }
            LogRecord::FlagInsert(r) => self.put(prefix, id, &r.key, &r.data, Change::Insert),
            LogRecord::FlagInsertAndReplaceData(r) => {
                let reserved = match before {
                    Some(before) => self.replaced(prefix, r.replace_version_id, before, r.data.len()),
                    None => self.defer(prefix, r.replace_version_id),
                };
                self.put(prefix, id, &r.key, &r.data, Change::Insert);
                return reserved;
            }
            LogRecord::FlagDelete(_) => match before {
                Some(before) => self.put(prefix, id, &before.key, &before.data, Change::FlagDelete),
                None => return self.defer(prefix, id),
            },
            LogRecord::Replace(r) | LogRecord::ReplaceDiff(r) => {
                return match before {
                    Some(before) => self.replaced(prefix, id, before, r.new_bytes.into()),
                    None => self.defer(prefix, id),
                };
            }
            LogRecord::Delta(r) => {
                let change = Change::Delta { offset: r.offset, by: r.delta.into(), wide: false };
                self.put(prefix, id, &r.key, &r.data, change);
            }
            LogRecord::Delta64(r) => {
                let change = Change::Delta { offset: r.offset, by: r.delta, wide: true };
                self.put(prefix, id, &r.key, &r.data, change);
            }
            _ => {}
        }
        0
    }

    fn defer(&mut self, prefix: &NodePrefix, id: u32) -> i32 {
        let level = self.level(prefix);
        self.session.deferred.insert(id, level);
        0
    }

    /// The level of a change. One that another session made on behalf of this one's transaction may belong
    /// to a level around the innermost.
    fn level(&self, prefix: &NodePrefix) -> u8 {
        match (prefix.page.level, self.session.work.transaction().level()) {
            (0, innermost) => innermost,
            (level, innermost) => level.min(innermost),
        }
    }

    fn replaced(&mut self, prefix: &NodePrefix, id: u32, before: &Before, after: usize) -> i32 {
        let node = self.node(prefix, &before.key, &before.data);
        let change = self.session.work.store().replacement(&node, &before.data, after);
        let reserved = match &change {
            Change::Replace { reserved, .. } => i32::try_from(*reserved).unwrap_or(0),
            _ => 0,
        };
        self.put(prefix, id, &before.key, &before.data, change);
        reserved
    }

    fn node<'n>(&self, prefix: &NodePrefix, key: &'n [u8], data: &'n [u8]) -> Node<'n> {
        let is_unique = prefix.page.flags & PagePrefix::UNIQUE != 0;
        let tree = TreeId { database: self.file.id(), root: prefix.root };
        Node { tree, bookmark: Bookmark { key, data: if is_unique { &[] } else { data } } }
    }

    fn put(&mut self, prefix: &NodePrefix, id: u32, key: &[u8], data: &[u8], change: Change) {
        let node = self.node(prefix, key, data);
        let level = self.level(prefix);
        let page = change.wants_before_image().then_some(prefix.page.page);
        self.enter_at((id, level), node, prefix.object, change, page);
    }

    fn enter_at(
        &mut self,
        at: (u32, u8),
        node: Node<'_>,
        object: ObjectId,
        change: Change,
        page: Option<PageNumber>,
    ) {
        let file: Arc<dyn RaiseDurable> = self.file.clone();
        let page = page.map(|page| (page, Arc::downgrade(&file) as Weak<dyn RaiseDurable>));
        let (transaction, changes, store) = self.session.work.parts();
        store.enter_redone(transaction, changes, at, NewVersion { node, object, change, page });
    }

    /// A before-image in the log: of a version that waits for it, or of one whose page waits for it.
    pub(super) fn before_image(&mut self, r: &UndoInfo, at: LogPosition) -> Result<()> {
        let tree = TreeId { database: self.file.id(), root: r.node.root };
        let node = Node { tree, bookmark: Bookmark { key: &r.key, data: &r.data } };
        let id = r.node.version_id;
        let store = self.session.work.store();
        if let Some(version) = store.find(&node, id) {
            store.no_longer_pending(&version);
            return Ok(());
        }
        let Some(level) = self.session.deferred.remove(&id) else { return Ok(()) };
        let change = match r.operation {
            VersionOperation::FlagDelete => Change::FlagDelete,
            VersionOperation::Replace => Change::Replace {
                before: r.before.as_slice().into(),
                most: usize::try_from(r.max_bytes).unwrap_or(0).max(r.before.len()),
                reserved: r.delta_bytes.into(),
            },
            other => {
                let sentence = format!("a before-image of {other:?}, which has none");
                return Err(Error::new(JetErr::LogFileCorrupt, sentence).position(at));
            }
        };
        self.enter_at((id, level), node, r.node.object, change, None);
        Ok(())
    }
}
