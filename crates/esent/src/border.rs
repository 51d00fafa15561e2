//! The border to C: results become numbers, panics stop here.

use crate::types::JET_ERR;
use ese::{Error, JetErr};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the body of an API function gives: nothing, or a warning.
pub(crate) trait Outcome {
    fn number(self) -> JET_ERR;
}

impl Outcome for () {
    fn number(self) -> JET_ERR {
        0
    }
}

impl Outcome for JetErr {
    fn number(self) -> JET_ERR {
        self.code()
    }
}

impl Outcome for Option<JetErr> {
    fn number(self) -> JET_ERR {
        self.map_or(0, JetErr::code)
    }
}

/// Runs the body of an API function. A panic must not unwind into C: it becomes JET_errInternalError.
pub(crate) fn guard<T: Outcome>(function: &str, body: impl FnOnce() -> Result<T, Error>) -> JET_ERR {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(outcome)) => outcome.number(),
        Ok(Err(error)) => {
            tracing::debug!(target: "esent", function, %error, "the call failed");
            error.code().code()
        }
        Err(_) => {
            tracing::error!(target: "esent", function, "a defect of the library was caught");
            JetErr::InternalError.code()
        }
    }
}

/// Defines exported functions: `fn JetName | JetAlias(argument: Type) { body }`, the alias being another
/// symbol for the same function. The body is safe code that gives a `Result`.
macro_rules! jet_api {
    () => {};
    ($(#[$meta:meta])* fn $name:ident $(| $alias:ident)? ($($args:tt)*) $body:block $($rest:tt)*) => {
        jet_api!(@function [$(#[$meta])*] $name ($($args)*) $body);
        jet_api!(@alias [$($alias)?] $name ($($args)*));
        jet_api!($($rest)*);
    };
    (@function [$(#[$meta:meta])*] $name:ident ($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        ///
        /// # Safety
        /// Pointers must be null or valid as the C API says, for the length that goes with them.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> $crate::types::JET_ERR {
            $crate::border::guard(stringify!($name), move || -> std::result::Result<_, ese::Error> { $body })
        }
    };
    (@alias [] $name:ident ($($args:tt)*)) => {};
    (@alias [$alias:ident] $name:ident ($($arg:ident: $type:ty),* $(,)?)) => {
        #[doc = concat!("Another symbol of [`", stringify!($name), "`].")]
        ///
        /// # Safety
        /// The same.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $alias($($arg: $type),*) -> $crate::types::JET_ERR {
            // SAFETY: the caller made the same promises.
            unsafe { $name($($arg),*) }
        }
    };
}
pub(crate) use jet_api;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_become_a_number() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let number = guard("test", || -> Result<(), Error> { panic!("on purpose") });
        std::panic::set_hook(hook);
        assert_eq!(number, JetErr::InternalError.code());
        assert_eq!(guard("test", || Ok(JetErr::WrnDatabaseAttached)), 1007);
        assert_eq!(guard("test", || -> Result<(), Error> { Err(JetErr::InvalidParameter.into()) }), -1003);
    }
}
