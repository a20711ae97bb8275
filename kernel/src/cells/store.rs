//! The variables of the session, as bytes that only cells understand.

use crate::sys::lock;
use gpt_lab_cell::Value;
use std::sync::Mutex;

static VARIABLES: Mutex<Vec<(String, Value)>> = Mutex::new(Vec::new());

/// Keeps a variable; an older one of its name ends.
pub fn put(name: &str, value: Value) {
    let old = {
        let mut variables = lock(&VARIABLES);
        match variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, place)) => std::mem::replace(place, value),
            None => {
                variables.push((name.to_owned(), value));
                Value::none()
            }
        }
    };
    discard(old);
}

/// A variable, without taking it out.
pub fn look(name: &str) -> Value {
    let variables = lock(&VARIABLES);
    variables.iter().find(|(known, _)| known == name).map_or_else(Value::none, |(_, value)| *value)
}

/// Takes a variable out.
pub fn take(name: &str) -> Value {
    let mut variables = lock(&VARIABLES);
    let place = variables.iter().position(|(known, _)| known == name);
    place.map_or_else(Value::none, |place| variables.remove(place).1)
}

/// Ends a variable.
pub fn forget(name: &str) {
    discard(take(name));
}

/// The names of all variables.
pub fn names() -> Vec<String> {
    let variables = lock(&VARIABLES);
    variables.iter().map(|(name, _)| name.clone()).collect()
}

/// Ends a variable that is in the store no more; not while the store is locked, for its destructor may use it.
fn discard(value: Value) {
    // SAFETY: `put` and `take` have taken the only copy out; a copy that `look` gave is used during a call only, by the
    // one thread that runs cells.
    unsafe { value.discard() }
}
