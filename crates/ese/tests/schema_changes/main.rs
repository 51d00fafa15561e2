//! Changes of the schema beside transactions and other sessions.

mod beside;
mod build;
mod columns;
mod crash;
mod deletes;
mod indexes;
mod long_values;
mod setup;
