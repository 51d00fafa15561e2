//! Every way to be wrong, one at a time, and that nothing else is found.

mod damage;
mod hostile;
mod image;
