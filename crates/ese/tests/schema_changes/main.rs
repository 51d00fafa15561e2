//! Changes of the schema beside transactions and other sessions.

mod long_values;
mod setup;
