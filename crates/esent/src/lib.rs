//! `libesent.so`: the JET C API. Translation only; the engine is the `ese` crate.
