//! Instances: making them, telling about them, and memory handed out.

use crate::border::jet_api;
use crate::memory;
use crate::pointer::{Bytes, Form, Out, Text, TextA, TextW};
use crate::process::PROCESS;
use crate::types::*;
use ese::{Error, JetErr, Result};

jet_api! {
    /// Makes an instance that waits to be initialised.
    fn JetCreateInstanceA | JetCreateInstance(pinstance: Out<JET_INSTANCE>, szInstanceName: TextA) {
        create(pinstance, szInstanceName, None, 0)
    }

    /// Makes an instance that waits to be initialised.
    fn JetCreateInstanceW(pinstance: Out<JET_INSTANCE>, szInstanceName: TextW) {
        create(pinstance, szInstanceName, None, 0)
    }

    /// Makes an instance with a name for people.
    fn JetCreateInstance2A | JetCreateInstance2(
        pinstance: Out<JET_INSTANCE>, szInstanceName: TextA, szDisplayName: TextA, grbit: JET_GRBIT,
    ) {
        create(pinstance, szInstanceName, Some(szDisplayName), grbit)
    }

    /// Makes an instance with a name for people.
    fn JetCreateInstance2W(
        pinstance: Out<JET_INSTANCE>, szInstanceName: TextW, szDisplayName: TextW, grbit: JET_GRBIT,
    ) {
        create(pinstance, szInstanceName, Some(szDisplayName), grbit)
    }

    /// Releases memory that the library handed out.
    fn JetFreeBuffer(pbBuf: Bytes) {
        memory::release(pbBuf.address())
    }
}

fn create<F: Form>(
    place: Out<JET_INSTANCE>,
    name: Text<F>,
    display_name: Option<Text<F>>,
    grbit: JET_GRBIT,
) -> Result<()> {
    let place = place.required()?;
    if grbit != 0 {
        return Err(Error::new(JetErr::InvalidGrbit, "no option bits are defined"));
    }
    let name = name.get()?.unwrap_or_default();
    let display_name = display_name.map(Text::get).transpose()?.flatten().unwrap_or_default();
    place.set(PROCESS.create(&name, &display_name)?.handle());
    Ok(())
}
