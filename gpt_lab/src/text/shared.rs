//! Values that a cell can hold without compiling their destructor.
//!
//! A cell hands all variables on to the next one, so the compiler generates in every cell what drops each of them, down
//! to the last field: with a tokenizer of `tokenizers` among them, half of a small cell was the destructors of regular
//! expressions and of seven kinds of vocabulary. Behind `dyn` the destructor is an entry in a table, compiled once,
//! here.

use std::any::Any;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

/// A value that is only read any more; clones share it.
pub(crate) struct Shared<T> {
    value: Arc<dyn Any + Send + Sync>,
    kind: PhantomData<T>,
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// Takes the value over.
    pub fn new(value: T) -> Self {
        Shared { value: Arc::new(value), kind: PhantomData }
    }
}

impl<T: 'static> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.downcast_ref().expect("it was made of a T")
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared { value: self.value.clone(), kind: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_value_and_the_last_one_drops_it() {
        let watched = Arc::new(7);
        let first = Shared::new(watched.clone());
        let second = first.clone();
        assert_eq!((**first, **second, Arc::strong_count(&watched)), (7, 7, 2));
        drop(first);
        assert_eq!(Arc::strong_count(&watched), 2);
        drop(second);
        assert_eq!(Arc::strong_count(&watched), 1);
    }
}
