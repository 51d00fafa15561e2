//! Where the catalog names the root of a tree.

use super::read::Catalog;
use super::table::Table;
use crate::btree::{RootName, Tree, Work};
use crate::error::Result;
use crate::version::{Bookmark, Node};
use ese_format::ObjectId;
use ese_format::catalog::{CatalogRow, RowKind, row_key};

/// All that the catalog says about the root of a tree.
#[derive(Debug)]
pub(crate) struct RootNames {
    /// The records that name it, in MSysObjects and then in its copy.
    pub(crate) names: Vec<RootName>,
    /// The keys of all rows about its table.
    pub(crate) rows: Vec<Vec<u8>>,
}

impl Catalog {
    /// The rows that name the root of one of a table's trees: the table's, and that of its primary index if it has one;
    /// or that of an index, or of the long values. None when they are not what the table's definition says, or when
    /// somebody may see the table otherwise.
    ///
    /// # Errors
    /// Those of reading the catalog.
    pub(crate) fn names_of_root(&self, work: &Work, table: &Table, tree: &Tree) -> Result<Option<RootNames>> {
        let id = table.object();
        if !self.is_settled(work, id) {
            return Ok(None);
        }
        let kinds = match (tree.object == id, table.schema.primary_index().is_some()) {
            (true, true) => &[RowKind::Table, RowKind::Index][..],
            (true, false) => &[RowKind::Table],
            (false, _) if table.schema.long_values.is_some_and(|own| own.object_id == tree.object) => {
                &[RowKind::LongValue]
            }
            (false, _) => &[RowKind::Index],
        };
        let mut names = Vec::new();
        for of in std::iter::once(&self.trees.objects).chain(&self.trees.shadow) {
            for kind in kinds {
                let key = row_key(id, *kind, tree.object.0);
                let Some(record) = self.read_one(work, of, &key)? else { return Ok(None) };
                let row = CatalogRow::decode(&record, self.trees.page_size())?;
                if (row.type_or_root, row.id) != (tree.root.0, tree.object.0) {
                    return Ok(None);
                }
                let (tree, key) = (of.clone(), key.to_vec());
                names.push(RootName { tree, key, record, at: CatalogRow::ROOT_AT });
            }
        }
        let rows: Vec<Vec<u8>> = self.rows_of(work, id)?.into_iter().map(|(key, _)| key).collect();
        let of = self.trees.objects.id();
        let has_versions = |key: &Vec<u8>| {
            work.store().has_versions(&Node { tree: of, bookmark: Bookmark { key, data: &[] } })
        };
        Ok((!rows.iter().any(has_versions)).then_some(RootNames { names, rows }))
    }

    /// The root of a tree of that table is another one now: what was read before holds for nobody.
    pub(crate) fn root_moved(&self, table: ObjectId) {
        self.forget_table(table);
        self.note_change();
    }
}
