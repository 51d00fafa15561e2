//! Database pages: header, flags, tag array and lines.
//!
//! A page is a header, data growing upwards behind it, and an array of four-byte tags growing downwards
//! from its end. Tag 0 is the external header; the other tags are the lines, in key order, each of them a
//! node (see [`crate::node`]). Layout: microsoft/Extensible-Storage-Engine, dev/ese/src/inc/cpage.hxx and
//! dev/ese/src/ese/cpage.cxx.

mod check;
mod edit;
mod flags;
mod image;
mod layout;
#[cfg(test)]
mod tests;
mod unlogged;
mod view;

pub use edit::{NewNode, NewPage, PageMut};
pub use flags::{LineFlags, PageFlags};
pub use image::{PageImage, decode_image, encode_image};
pub use unlogged::{UNLOGGED, Unlogged, clear_unlogged};
pub use view::{KeySearch, Line, Lines, Page};
