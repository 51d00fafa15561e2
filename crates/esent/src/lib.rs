//! `libesent.so`: the JET C API. Translation only; the engine is the `ese` crate.
//!
//! Pointers of C callers become the types of [`mod@pointer`], whose invariant is the C contract; everything
//! above them is safe Rust. What JET makes process-wide lives in [`process`].
#![deny(unsafe_op_in_unsafe_fn)]
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]

mod border;
mod client_memory;
mod index_request;
mod instance_info;
mod locale;
mod memory;
mod restore_map;
mod restore_target;
mod status;
mod text;

pub mod ffi;
pub mod pointer;
pub mod process;
pub mod types;
