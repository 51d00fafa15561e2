//! Changes of the schema beside transactions and other sessions.

mod build;
mod long_values;
mod setup;
