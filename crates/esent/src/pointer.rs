//! Pointers that C callers pass, as types with an invariant.
//!
//! Each of these types holds a pointer that is null or valid, for the duration of the call, for what its
//! methods do with it. Only a C caller makes them, by calling an exported function, and calling one is
//! `unsafe`: that is where the promise is given. Within the library their methods are safe. Nothing is
//! assumed about alignment: packed structures of the API may put them anywhere.

use ese::{Error, JetErr, Result};
use std::ffi::c_void;
use std::marker::PhantomData;

/// Where the callee writes one value.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    /// # Safety
    /// Null, or valid for writes of one `T` as long as the value is used.
    pub const unsafe fn new(pointer: *mut T) -> Self {
        Self(pointer)
    }

    /// Whether the caller gave a place.
    pub fn is_some(self) -> bool {
        !self.0.is_null()
    }

    /// Refuses null with JET_errInvalidParameter.
    pub fn required(self) -> Result<Self> {
        if self.0.is_null() { Err(null()) } else { Ok(self) }
    }

    /// Writes, unless the place is null.
    pub fn set(self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not null, so valid for writes by the type's invariant; alignment is not assumed.
            unsafe { self.0.write_unaligned(value) }
        }
    }
}

/// One value that the callee reads and may replace.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct InOut<T>(*mut T);

impl<T: Copy> InOut<T> {
    /// # Safety
    /// Null, or valid for reads and writes of one initialised `T` as long as the value is used; where its
    /// first member tells its size, of as many bytes as that says.
    pub const unsafe fn new(pointer: *mut T) -> Self {
        Self(pointer)
    }

    /// The value, when the caller gave one.
    pub fn get(self) -> Option<T> {
        // SAFETY: when not null, valid for reads by the type's invariant; alignment is not assumed.
        (!self.0.is_null()).then(|| unsafe { self.0.read_unaligned() })
    }

    /// The value; null is refused with JET_errInvalidParameter.
    pub fn required(self) -> Result<T> {
        self.get().ok_or_else(null)
    }

    /// A structure whose first member holds its size, when the caller gave one. Only that member is read
    /// unless it tells the size of `T`: the caller may know another, shorter form.
    ///
    /// # Errors
    /// JET_errInvalidParameter for another size.
    pub fn sized(self) -> Result<Option<T>> {
        if self.0.is_null() {
            return Ok(None);
        }
        // SAFETY: not null, so valid for reads of the structure's first member, a 32-bit size, by the type's
        // invariant; alignment is not assumed.
        let size = unsafe { self.0.cast::<u32>().read_unaligned() };
        if size as usize != size_of::<T>() {
            return Err(Error::new(JetErr::InvalidParameter, format!("a structure of {size} bytes")));
        }
        Ok(self.get())
    }

    /// The same for a structure that must be given; null is refused with JET_errInvalidParameter.
    pub fn required_sized(self) -> Result<T> {
        self.sized()?.ok_or_else(null)
    }

    /// Writes, unless the place is null.
    pub fn set(self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not null, so valid for writes by the type's invariant; alignment is not assumed.
            unsafe { self.0.write_unaligned(value) }
        }
    }
}

/// An array of C structures.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Array<T>(*mut T);

impl<T: Copy> Array<T> {
    /// # Safety
    /// Null, or valid for reads and writes of as many initialised `T` as the accompanying count says.
    pub const unsafe fn new(pointer: *mut T) -> Self {
        Self(pointer)
    }

    /// Copies of the elements. Null with a count is refused with JET_errInvalidParameter.
    pub fn read(self, count: usize) -> Result<Vec<T>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        if self.0.is_null() {
            return Err(null());
        }
        // SAFETY: not null, so `count` elements are readable by the type's invariant; alignment is not assumed.
        Ok((0..count).map(|at| unsafe { self.0.add(at).read_unaligned() }).collect())
    }

    /// Replaces one element that [`Array::read`] gave.
    pub fn write(self, at: usize, value: T) {
        if !self.0.is_null() {
            // SAFETY: not null and within the count, so valid for writes by the type's invariant.
            unsafe { self.0.add(at).write_unaligned(value) }
        }
    }
}

/// Memory of a length that goes with it in another argument.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Bytes(*mut c_void);

impl Bytes {
    /// # Safety
    /// Null, or valid for writes of as many bytes as the accompanying length says, initialised when the
    /// function reads them, and not accessed otherwise during the call.
    pub const unsafe fn new(pointer: *mut c_void) -> Self {
        Self(pointer)
    }

    /// Whether the caller gave memory.
    pub fn is_some(self) -> bool {
        !self.0.is_null()
    }

    /// The address, to check its alignment.
    pub fn address(self) -> usize {
        self.0 as usize
    }

    /// Writes one structure.
    ///
    /// # Errors
    /// JET_errInvalidParameter for null, JET_errInvalidBufferSize when `length` is too short for it.
    pub fn place<T: Copy>(self, structure: T, length: u32) -> Result<()> {
        if self.0.is_null() {
            return Err(null());
        }
        if (length as usize) < size_of::<T>() {
            let what = format!("{length} bytes for a result of {}", size_of::<T>());
            return Err(Error::new(JetErr::InvalidBufferSize, what));
        }
        // SAFETY: not null, so valid for writes of `length` bytes by the type's invariant, which is enough;
        // alignment is not assumed.
        unsafe { self.0.cast::<T>().write_unaligned(structure) };
        Ok(())
    }

    /// Writes the beginning of `bytes`, as much as fits into `length`.
    pub fn fill(self, bytes: &[u8], length: u32) {
        if !self.0.is_null() {
            let length = bytes.len().min(length as usize);
            // SAFETY: not null, so valid for `length` bytes by the type's invariant; the source is ours.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.cast::<u8>(), length) }
        }
    }

    /// Reads a value of exactly `N` bytes. The caller must have initialised them.
    ///
    /// # Errors
    /// JET_errInvalidParameter for null, JET_errInvalidBufferSize when `length` is another.
    pub fn read<const N: usize>(self, length: u32) -> Result<[u8; N]> {
        if self.0.is_null() {
            return Err(null());
        }
        if length as usize != N {
            return Err(Error::new(JetErr::InvalidBufferSize, format!("{length} bytes instead of {N}")));
        }
        // SAFETY: not null, so valid for `length` bytes by the type's invariant, which is `N`; bytes need no
        // alignment; functions that read say so in their contract.
        Ok(unsafe { self.0.cast::<[u8; N]>().read_unaligned() })
    }

    /// Copies the bytes. The caller must have initialised them. Null is no bytes when `length` says so, else
    /// it is refused with JET_errInvalidParameter.
    pub fn copied(self, length: u32) -> Result<Vec<u8>> {
        if self.0.is_null() {
            return if length == 0 { Ok(Vec::new()) } else { Err(null()) };
        }
        let mut bytes = vec![0; length as usize];
        // SAFETY: not null, so valid for `length` bytes by the type's invariant; functions that read say so in
        // their contract; the destination is ours and of that length.
        unsafe { std::ptr::copy_nonoverlapping(self.0.cast::<u8>(), bytes.as_mut_ptr(), bytes.len()) };
        Ok(bytes)
    }

    /// As [`Self::copied`], but a few bytes are copied without an allocation, for `body`.
    pub fn with_copied<R>(self, length: u32, body: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
        let mut few = [0; 256];
        match few.get_mut(..length as usize) {
            Some(few) if !self.0.is_null() => {
                // SAFETY: as in `copied`.
                unsafe { std::ptr::copy_nonoverlapping(self.0.cast::<u8>(), few.as_mut_ptr(), few.len()) };
                body(few)
            }
            _ => body(&self.copied(length)?),
        }
    }

    /// Lends the memory to `body`. It is zeroed first, because the caller need not have initialised it.
    /// Null is refused with JET_errInvalidParameter.
    pub fn lend<R>(self, length: u32, body: impl FnOnce(&mut [u8]) -> Result<R>) -> Result<R> {
        if self.0.is_null() {
            return Err(null());
        }
        let start = self.0.cast::<u8>();
        // SAFETY: not null, so valid for `length` bytes and ours alone during the call by the type's
        // invariant; initialised by the first line; u8 needs no alignment.
        let slice = unsafe {
            start.write_bytes(0, length as usize);
            std::slice::from_raw_parts_mut(start, length as usize)
        };
        body(slice)
    }
}

/// The two forms of text: 8-bit (UTF-8 here) and UTF-16.
pub trait Form: 'static {
    /// One code unit.
    type Unit: Copy + Default + PartialEq;
    /// The text of these units; not UTF-8 or UTF-16 is refused with JET_errInvalidPath.
    fn decode(units: &[Self::Unit]) -> Result<String>;
    /// The units of a text, without an end.
    fn encode(text: &str) -> Vec<Self::Unit>;
    /// The bytes of units in memory.
    fn bytes(units: &[Self::Unit]) -> Vec<u8>;
    /// The units that bytes in memory are; what is left of them is dropped.
    fn units(bytes: &[u8]) -> Vec<Self::Unit>;
}

/// 8-bit text.
#[derive(Debug)]
pub enum Narrow {}

impl Form for Narrow {
    type Unit = u8;
    fn decode(units: &[u8]) -> Result<String> {
        let text = std::str::from_utf8(units);
        text.map(str::to_owned).map_err(|_| Error::new(JetErr::InvalidPath, "the text is not UTF-8"))
    }
    fn encode(text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }
    fn bytes(units: &[u8]) -> Vec<u8> {
        units.to_vec()
    }
    fn units(bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }
}

/// UTF-16 text.
#[derive(Debug)]
pub enum Wide {}

impl Form for Wide {
    type Unit = u16;
    fn decode(units: &[u16]) -> Result<String> {
        String::from_utf16(units).map_err(|_| Error::new(JetErr::InvalidPath, "the text is not UTF-16"))
    }
    fn encode(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }
    fn bytes(units: &[u16]) -> Vec<u8> {
        units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
    }
    fn units(bytes: &[u8]) -> Vec<u16> {
        let (units, _) = bytes.as_chunks();
        units.iter().map(|unit| u16::from_le_bytes(*unit)).collect()
    }
}

/// A zero-terminated text that the callee reads.
#[derive(Debug)]
#[repr(transparent)]
pub struct Text<F: Form>(*const F::Unit, PhantomData<F>);

impl<F: Form> Clone for Text<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Form> Copy for Text<F> {}

/// 8-bit text.
pub type TextA = Text<Narrow>;
/// UTF-16 text.
pub type TextW = Text<Wide>;

impl<F: Form> Text<F> {
    /// No text of the API is longer; a caller that forgot the end is stopped here.
    const UNITS_MOST: usize = 1 << 16;

    /// # Safety
    /// Null, or zero-terminated and valid for reads up to its end.
    pub const unsafe fn new(pointer: *const F::Unit) -> Self {
        Self(pointer, PhantomData)
    }

    /// The text, when the caller gave one.
    ///
    /// # Errors
    /// JET_errInvalidPath when it is not valid text, JET_errInvalidParameter when it has no end.
    pub fn get(self) -> Result<Option<String>> {
        if self.0.is_null() {
            return Ok(None);
        }
        let mut units = Vec::new();
        while units.len() < Self::UNITS_MOST {
            // SAFETY: not null, and no unit before this one was the end, so it is readable by the type's
            // invariant; alignment is not assumed.
            let unit = unsafe { self.0.add(units.len()).read_unaligned() };
            if unit == F::Unit::default() {
                return F::decode(&units).map(Some);
            }
            units.push(unit);
        }
        Err(Error::new(JetErr::InvalidParameter, "a text has no end"))
    }

    /// The number that the pointer points to where functions take one instead of a text.
    ///
    /// # Errors
    /// JET_errInvalidParameter for null.
    pub fn as_number(self) -> Result<u32> {
        if self.0.is_null() {
            return Err(null());
        }
        // SAFETY: not null, and functions that take a number here say so in their contract; alignment is not
        // assumed.
        Ok(unsafe { self.0.cast::<u32>().read_unaligned() })
    }

    /// The text; null is refused with JET_errInvalidParameter.
    pub fn required(self) -> Result<String> {
        self.get()?.ok_or_else(null)
    }
}

fn null() -> Error {
    Error::new(JetErr::InvalidParameter, "a required pointer is null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_refused_or_absent() {
        // SAFETY: null is always allowed.
        unsafe {
            assert!(Out::<u32>::new(std::ptr::null_mut()).required().is_err());
            Out::<u32>::new(std::ptr::null_mut()).set(1);
            assert!(InOut::<u32>::new(std::ptr::null_mut()).get().is_none());
            assert!(InOut::<u32>::new(std::ptr::null_mut()).sized().unwrap().is_none());
            assert!(InOut::<u32>::new(std::ptr::null_mut()).required_sized().is_err());
            assert!(Array::<u32>::new(std::ptr::null_mut()).read(1).is_err());
            assert!(Array::<u32>::new(std::ptr::null_mut()).read(0).unwrap().is_empty());
            assert!(Bytes::new(std::ptr::null_mut()).lend(1, |_| Ok(())).is_err());
            assert_eq!(TextA::new(std::ptr::null()).get().unwrap(), None);
            assert!(TextW::new(std::ptr::null()).required().is_err());
        }
    }

    #[test]
    fn a_structure_of_another_size_is_not_read() {
        // Only the size is there.
        let mut short = Box::new(4_u32);
        let mut whole = [8_u32, 5];
        // SAFETY: the first tells its four bytes, the second its eight.
        unsafe {
            let refused = InOut::<[u32; 2]>::new((&raw mut *short).cast()).sized().unwrap_err();
            assert_eq!(refused.code(), JetErr::InvalidParameter);
            assert_eq!(InOut::<[u32; 2]>::new(&mut whole).required_sized().unwrap(), [8, 5]);
        }
    }

    #[test]
    fn texts_are_checked() {
        let wide: Vec<u16> = "größe\0".encode_utf16().collect();
        // SAFETY: each is zero-terminated and outlives the call.
        unsafe {
            assert_eq!(TextW::new(wide.as_ptr()).required().unwrap(), "größe");
            assert_eq!(TextA::new(c"a/b".as_ptr().cast()).required().unwrap(), "a/b");
            let bad = TextA::new(c"\xFF".as_ptr().cast()).get().unwrap_err();
            assert_eq!(bad.code(), JetErr::InvalidPath);
            let lone = [0xD800_u16, 0];
            assert_eq!(TextW::new(lone.as_ptr()).get().unwrap_err().code(), JetErr::InvalidPath);
            let endless = vec![b'x'; TextA::UNITS_MOST];
            assert_eq!(TextA::new(endless.as_ptr()).get().unwrap_err().code(), JetErr::InvalidParameter);
        }
    }

    #[test]
    fn bytes_are_cut_to_the_length() {
        let mut memory = [9_u8; 4];
        // SAFETY: four bytes, ours.
        let bytes = unsafe { Bytes::new(memory.as_mut_ptr().cast()) };
        bytes.fill(&[1, 2, 3, 4, 5], 3);
        assert_eq!(memory, [1, 2, 3, 9]);
    }
}
