//! Memory that a client's function gives, for results whose size only the callee knows.

use crate::types::JET_PFNREALLOC;
use ese::{Error, JetErr, Result};
use std::ffi::c_void;

/// What a call has taken so far; it goes back unless the call ends well.
pub(crate) struct ClientMemory {
    function: unsafe extern "C" fn(*mut c_void, *mut c_void, u32) -> *mut c_void,
    context: *mut c_void,
    taken: Vec<*mut c_void>,
}

impl ClientMemory {
    /// # Safety
    /// The function, if there is one, gives and takes back memory as `realloc` does, and may be called with this
    /// context as long as the value lives.
    ///
    /// # Errors
    /// JET_errInvalidParameter for no function.
    pub(crate) unsafe fn new(function: JET_PFNREALLOC, context: *mut c_void) -> Result<Self> {
        let none = || Error::new(JetErr::InvalidParameter, "there is no function that gives memory");
        Ok(Self { function: function.ok_or_else(none)?, context, taken: Vec::new() })
    }

    /// Copies values into memory of the client's; null for no values.
    ///
    /// # Errors
    /// JET_errOutOfMemory.
    pub(crate) fn copy<T: Copy>(&mut self, values: &[T]) -> Result<*mut T> {
        if values.is_empty() {
            return Ok(std::ptr::null_mut());
        }
        let bytes = u32::try_from(size_of_val(values)).map_err(|_| Error::from(JetErr::OutOfMemory))?;
        // SAFETY: the type's invariant; null asks for new memory.
        let memory = unsafe { (self.function)(self.context, std::ptr::null_mut(), bytes) };
        if memory.is_null() {
            return Err(Error::new(JetErr::OutOfMemory, format!("the client has no {bytes} bytes")));
        }
        self.taken.push(memory);
        let memory = memory.cast::<T>();
        for (at, value) in values.iter().enumerate() {
            // SAFETY: within the memory just taken, of which nobody else knows; alignment is not assumed.
            unsafe { memory.add(at).write_unaligned(*value) }
        }
        Ok(memory)
    }

    /// The client keeps everything.
    pub(crate) fn keep(mut self) {
        self.taken.clear();
    }
}

impl Drop for ClientMemory {
    fn drop(&mut self) {
        for memory in self.taken.drain(..) {
            // SAFETY: the type's invariant; the memory came from the function, and no bytes give it back.
            unsafe { (self.function)(self.context, memory, 0) };
        }
    }
}
