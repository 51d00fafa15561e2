//! The trees of the catalog: MSysObjects, its copy, its two indexes. A row stands in all of them.

use crate::btree::{self, Tree, Versioning, Work};
use crate::buffer::CachedFile;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use crate::version::Bookmark;
use ese_format::catalog::{
    CATALOG_OBJECT, CATALOG_ROOT, CatalogRow, SHADOW_OBJECT, SHADOW_ROOT, TableSchemaBuilder, row_key,
};
use ese_format::empty::{EmptyRows, NAME_OBJECT, NAME_ROOT, ROOT_OBJECTS_OBJECT, ROOT_OBJECTS_ROOT};
use ese_format::key::{KeyBuffers, KeyDefinition, RecordValues, build_keys};
use ese_format::page::PageFlags;
use ese_format::record::Record;
use ese_format::{ObjectId, PageNumber, PageSize};

/// Bit 0 of the header's flags: the catalog has no copy (JET_bitDbShadowingOff).
const SHADOW_OFF: u32 = 1;

/// The trees of the catalog, whose places are fixed.
#[derive(Clone)]
pub struct CatalogTrees {
    /// MSysObjects.
    pub objects: Tree,
    /// MSysObjectsShadow, unless the database has none.
    pub shadow: Option<Tree>,
    /// The rows by table, kind and name.
    pub name: Tree,
    /// The tables by name.
    pub root_objects: Tree,
    definitions: Arc<[KeyDefinition; 2]>,
}

/// The keys of a row in the indexes of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexKeys {
    /// In the index "Name".
    pub(super) name: Vec<u8>,
    /// In the index "RootObjects", which has tables only.
    pub(super) root_objects: Option<Vec<u8>>,
}

impl CatalogTrees {
    /// The trees of a database.
    ///
    /// # Errors
    /// `InternalError` when the hard-wired schema of the catalog contradicts itself.
    pub fn new(file: &Arc<CachedFile>, is_logged: bool) -> Result<Self> {
        let tree = |root: PageNumber, object: ObjectId, kind: PageFlags| Tree {
            file: file.clone(),
            root,
            object,
            is_unique: true,
            kind,
            is_logged,
        };
        let has_shadow = file.file().header().flags & SHADOW_OFF == 0;
        Ok(Self {
            objects: tree(CATALOG_ROOT, CATALOG_OBJECT, PageFlags::empty()),
            shadow: has_shadow.then(|| tree(SHADOW_ROOT, SHADOW_OBJECT, PageFlags::empty())),
            name: tree(NAME_ROOT, NAME_OBJECT, PageFlags::INDEX),
            root_objects: tree(ROOT_OBJECTS_ROOT, ROOT_OBJECTS_OBJECT, PageFlags::INDEX),
            definitions: Arc::new(definitions(file.page_size())?),
        })
    }

    /// The page size of the database.
    pub(super) fn page_size(&self) -> PageSize {
        self.objects.file.page_size()
    }

    /// The keys that a record of MSysObjects has in the indexes.
    pub(super) fn index_keys(&self, record: &[u8]) -> Result<IndexKeys> {
        let [name, root_objects] = &*self.definitions;
        let key = |definition: &KeyDefinition| -> Result<Option<Vec<u8>>> {
            one_key(definition, record, self.page_size())
        };
        let missing = || Error::new(JetErr::CatalogCorrupted, "a row of the catalog has no name");
        Ok(IndexKeys { name: key(name)?.ok_or_else(missing)?, root_objects: key(root_objects)? })
    }
}

/// The key of a record in an index of the engine's own tables; such records have no long values elsewhere.
pub(super) fn one_key(
    definition: &KeyDefinition,
    record: &[u8],
    page_size: PageSize,
) -> Result<Option<Vec<u8>>> {
    let (mut buffers, mut buffer) = (KeyBuffers::default(), Vec::new());
    let record = Record::parse(record, page_size)?;
    let elsewhere = |_, _: usize, _: &mut Vec<u8>| -> Result<()> { Err(JetErr::CatalogCorrupted.into()) };
    build_keys(definition, &mut RecordValues::new(record, elsewhere, &mut buffer), &mut buffers)?;
    Ok(buffers.keys.iter().next().map(<[u8]>::to_vec))
}

/// How "Name" and "RootObjects" make their keys. The schema of the catalog is hard-wired: what its own rows
/// say is for information only.
fn definitions(page_size: PageSize) -> Result<[KeyDefinition; 2]> {
    let rows = EmptyRows::new(page_size, PageNumber(1), PageNumber(1))?;
    let mut builder: Option<TableSchemaBuilder> = None;
    for record in &rows.catalog {
        let row = CatalogRow::decode(record, page_size)?;
        match &mut builder {
            None => builder = Some(TableSchemaBuilder::new(&row)?),
            Some(builder) if row.table == CATALOG_OBJECT => builder.add(&row)?,
            Some(_) => break,
        }
    }
    let wrong = || Error::new(JetErr::InternalError, "the catalog's own schema is not complete");
    let schema = builder.ok_or_else(wrong)?.finish(None);
    let definition = |object: ObjectId| -> Result<KeyDefinition> {
        let index = schema.indexes.iter().find(|index| index.object_id == object).ok_or_else(wrong)?;
        Ok(KeyDefinition::new(index, &schema.columns)?)
    };
    Ok([definition(NAME_OBJECT)?, definition(ROOT_OBJECTS_OBJECT)?])
}

/// Inserts a row, as its record in MSysObjects, into all trees of the catalog.
///
/// # Errors
/// `KeyDuplicate` when the row or one of that name is there; `WriteConflict`; those of [`btree::insert`].
pub fn insert_record(
    work: &mut Work,
    trees: &CatalogTrees,
    record: &[u8],
    versioning: Versioning,
) -> Result<()> {
    let row = CatalogRow::decode(record, trees.page_size())?;
    let bookmark = row_key(row.table, row.kind, row.id);
    let keys = trees.index_keys(record)?;
    btree::insert(work, &trees.objects, &bookmark, record, versioning)?;
    if let Some(key) = &keys.root_objects {
        btree::insert(work, &trees.root_objects, key, &bookmark, versioning)?;
    }
    btree::insert(work, &trees.name, &keys.name, &bookmark, versioning)?;
    match &trees.shadow {
        Some(shadow) => btree::insert(work, shadow, &bookmark, record, versioning),
        None => Ok(()),
    }
}

/// Deletes a row from all trees of the catalog.
///
/// # Errors
/// `RecordDeleted` when the transaction does not see it; `WriteConflict`; those of [`btree::delete`].
pub(super) fn delete_record(
    work: &mut Work,
    trees: &CatalogTrees,
    bookmark: &[u8],
    record: &[u8],
) -> Result<()> {
    let keys = trees.index_keys(record)?;
    if let Some(key) = &keys.root_objects {
        btree::delete(work, &trees.root_objects, Bookmark { key, data: &[] })?;
    }
    btree::delete(work, &trees.name, Bookmark { key: &keys.name, data: &[] })?;
    if let Some(shadow) = &trees.shadow {
        btree::delete(work, shadow, Bookmark { key: bookmark, data: &[] })?;
    }
    btree::delete(work, &trees.objects, Bookmark { key: bookmark, data: &[] })
}

/// Replaces the record of a row whose key stays, in all trees of the catalog.
///
/// # Errors
/// `KeyDuplicate` when there is a row of the new name; `WriteConflict`; those of [`btree::replace`].
pub(super) fn replace_record(
    work: &mut Work,
    trees: &CatalogTrees,
    bookmark: &[u8],
    old: &[u8],
    new: &[u8],
) -> Result<()> {
    let (old_keys, new_keys) = (trees.index_keys(old)?, trees.index_keys(new)?);
    btree::replace(work, &trees.objects, bookmark, new, Versioning::Versioned)?;
    if let Some(shadow) = &trees.shadow {
        btree::replace(work, shadow, bookmark, new, Versioning::Versioned)?;
    }
    let entries = [
        (&trees.name, Some(old_keys.name), Some(new_keys.name)),
        (&trees.root_objects, old_keys.root_objects, new_keys.root_objects),
    ];
    for (tree, old, new) in entries {
        if old == new {
            continue;
        }
        if let Some(key) = new {
            btree::insert(work, tree, &key, bookmark, Versioning::Versioned)?;
        }
        if let Some(key) = old {
            btree::delete(work, tree, Bookmark { key: &key, data: &[] })?;
        }
    }
    Ok(())
}
