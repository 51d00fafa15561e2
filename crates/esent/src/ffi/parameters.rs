//! System parameters, and the modes that come with them.

use crate::border::jet_api;
use crate::pointer::{Array, Bytes, Form, InOut, Narrow, Out, Text, TextA, TextW, Wide};
use crate::process::PROCESS;
use crate::text::{deliver_text, full_path, native};
use crate::types::*;
use ese::params::{ParamId, Type};
use ese::{Error, JetErr, Result};

jet_api! {
    /// Sets a system parameter.
    fn JetSetSystemParameterA | JetSetSystemParameter(
        pinstance: InOut<JET_INSTANCE>, sesid: JET_SESID, paramid: u32, lParam: JET_API_PTR, szParam: TextA,
    ) {
        let _ = sesid;
        set(pinstance.get().unwrap_or(0), paramid, lParam, szParam)
    }

    /// Sets a system parameter.
    fn JetSetSystemParameterW(
        pinstance: InOut<JET_INSTANCE>, sesid: JET_SESID, paramid: u32, lParam: JET_API_PTR, szParam: TextW,
    ) {
        let _ = sesid;
        set(pinstance.get().unwrap_or(0), paramid, lParam, szParam)
    }

    /// Reads a system parameter.
    fn JetGetSystemParameterA | JetGetSystemParameter(
        instance: JET_INSTANCE, sesid: JET_SESID, paramid: u32, plParam: InOut<JET_API_PTR>, szParam: Bytes,
        cbMax: u32,
    ) {
        let _ = sesid;
        get::<Narrow>(instance, paramid, plParam, szParam, cbMax)
    }

    /// Reads a system parameter.
    fn JetGetSystemParameterW(
        instance: JET_INSTANCE, sesid: JET_SESID, paramid: u32, plParam: InOut<JET_API_PTR>, szParam: Bytes,
        cbMax: u32,
    ) {
        let _ = sesid;
        get::<Wide>(instance, paramid, plParam, szParam, cbMax)
    }

    /// Goes to multi-instance mode and sets parameters for it.
    fn JetEnableMultiInstanceA | JetEnableMultiInstance(
        psetsysparam: Array<JET_SETSYSPARAM_A>, csetsysparam: u32, pcsetsucceed: Out<u32>,
    ) {
        enable_multi(psetsysparam, csetsysparam, pcsetsucceed, |p| {
            // SAFETY: the text pointer belongs to the caller's structure and falls under its promise.
            let text = unsafe { TextA::new(p.sz.cast()) };
            p.err = set(0, p.paramid, p.lParam, text).err().map_or(0, |e| e.code().code());
            p.err
        })
    }

    /// Goes to multi-instance mode and sets parameters for it.
    fn JetEnableMultiInstanceW(
        psetsysparam: Array<JET_SETSYSPARAM_W>, csetsysparam: u32, pcsetsucceed: Out<u32>,
    ) {
        enable_multi(psetsysparam, csetsysparam, pcsetsucceed, |p| {
            // SAFETY: the text pointer belongs to the caller's structure and falls under its promise.
            let text = unsafe { TextW::new(p.sz.cast()) };
            p.err = set(0, p.paramid, p.lParam, text).err().map_or(0, |e| e.code().code());
            p.err
        })
    }
}

fn parameter(number: u32) -> Result<ParamId> {
    let unknown = || Error::new(JetErr::InvalidParameter, format!("there is no parameter {number}"));
    ParamId::from_number(number).ok_or_else(unknown)
}

fn set<F: Form>(handle: JET_INSTANCE, number: u32, value: JET_API_PTR, text: Text<F>) -> Result<()> {
    let id = parameter(number)?;
    let kind = id.definition().kind;
    if kind.is_text() {
        let mut text = text.get()?.unwrap_or_default();
        if matches!(kind, Type::Folder | Type::File) && !text.is_empty() {
            text = full_path(&native(&text)?, false)?;
        }
        return PROCESS.change_parameters(handle, id, |p| p.set_text(id, &text));
    }
    let mut value = value as u64;
    if id == ParamId::UnicodeIndexDefault {
        // SAFETY: the documentation makes this parameter's number a pointer to the structure.
        let index = unsafe { InOut::<JET_UNICODEINDEX>::new(value as *mut _) }.required()?;
        value = u64::from(index.lcid) | u64::from(index.dwMapFlags) << 32;
    }
    PROCESS.change_parameters(handle, id, |p| p.set_integer(id, value))
}

fn get<F: Form>(
    handle: JET_INSTANCE,
    number: u32,
    value: InOut<JET_API_PTR>,
    text: Bytes,
    length: u32,
) -> Result<()> {
    let id = parameter(number)?;
    let kind = id.definition().kind;
    if id == ParamId::ErrorToString {
        let code = value.required()? as i32;
        let words = match JetErr::from_code(code) {
            Some(error) => format!("{}, {}", error.name(), error.description()),
            None => format!("Unknown error, {code}"),
        };
        return deliver_text::<F>(&words, text, length);
    }
    if kind.is_text() {
        let mut words = PROCESS.read_parameters(handle, id, |p| p.text(id).to_owned())?;
        if kind == Type::File || (kind == Type::Folder && !words.is_empty()) {
            words = full_path(&words, kind == Type::Folder)?;
        }
        if !text.is_some() {
            return Err(Error::new(JetErr::InvalidParameter, "there is no place for the text"));
        }
        return deliver_text::<F>(&words, text, length);
    }
    value.required()?;
    let mut number = PROCESS.read_parameters(handle, id, |p| p.integer(id))?;
    if id == ParamId::CacheSize {
        // What is set is a wish; what is read is what there is.
        number = PROCESS.cached_pages();
    }
    if id == ParamId::UnicodeIndexDefault {
        if (length as usize) < size_of::<JET_UNICODEINDEX>() {
            return Err(Error::new(JetErr::BufferTooSmall, "JET_UNICODEINDEX does not fit"));
        }
        // Both members are 32-bit numbers, the language first.
        text.fill(&number.to_le_bytes(), length);
        return Ok(());
    }
    value.set(number as JET_API_PTR);
    Ok(())
}

/// Sets the parameters one by one until one is refused; then the mode stays open.
fn enable_multi<T: Copy>(
    parameters: Array<T>,
    count: u32,
    succeeded: Out<u32>,
    set_one: impl Fn(&mut T) -> JET_ERR,
) -> Result<()> {
    let all = parameters.read(count as usize)?;
    succeeded.set(0);
    PROCESS.enable_multi()?;
    for (at, mut one) in all.into_iter().enumerate() {
        let number = set_one(&mut one);
        parameters.write(at, one);
        if number < 0 {
            PROCESS.disable_multi();
            let code = JetErr::from_code(number).unwrap_or(JetErr::InvalidParameter);
            return Err(Error::new(code, format!("parameter {at} was refused")));
        }
        succeeded.set(at as u32 + 1);
    }
    Ok(())
}
