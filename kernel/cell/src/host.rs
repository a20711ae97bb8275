//! The table of functions that the process of the cells offers, and variables on their way through it.

use std::any::{Any, TypeId, type_name};
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A text that lives as long as the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    data: *const u8,
    length: usize,
}

impl Text {
    /// The text for a call.
    pub fn of(text: &str) -> Text {
        Text { data: text.as_ptr(), length: text.len() }
    }

    /// The text that the caller meant.
    ///
    /// # Safety
    ///
    /// The caller of the C function must still be waiting for it.
    pub unsafe fn read(self) -> String {
        // SAFETY: made from a `&str` by `of`, which lives until the call returns.
        let bytes = unsafe { std::slice::from_raw_parts(self.data, self.length) };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// The two halves of a `*mut dyn Any`; the first is null if there is none.
#[repr(C)]
#[derive(Clone, Copy)]
struct Parts {
    data: *mut c_void,
    about: *mut c_void,
}

/// A variable outside of any cell: a box, and how to drop what is in it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Value {
    parts: Parts,
    drop: unsafe extern "C" fn(Parts),
}

// SAFETY: a value is only taken out, used and dropped by the one thread that runs cells; others move it as bytes.
unsafe impl Send for Value {}

impl Value {
    /// No variable.
    pub fn none() -> Value {
        Value { parts: Parts { data: std::ptr::null_mut(), about: std::ptr::null_mut() }, drop: drop_parts }
    }

    fn of<T: 'static>(value: T) -> Value {
        let boxed: Box<dyn Any> = Box::new(value);
        // SAFETY: a pointer to a trait object is two pointers wide, in this compiler, which compiles all cells.
        let parts = unsafe { std::mem::transmute::<*mut dyn Any, Parts>(Box::into_raw(boxed)) };
        Value { parts, drop: drop_parts }
    }

    /// True if there is a variable.
    pub fn is_some(&self) -> bool {
        !self.parts.data.is_null()
    }

    fn pointer(self) -> *mut dyn Any {
        // SAFETY: the reverse of `of`.
        unsafe { std::mem::transmute::<Parts, *mut dyn Any>(self.parts) }
    }

    /// Ends the variable.
    ///
    /// # Safety
    ///
    /// Nobody may use a copy of this value afterwards.
    pub unsafe fn discard(self) {
        if self.is_some() {
            // SAFETY: the caller has the only copy, and the code that made it is still loaded.
            unsafe { (self.drop)(self.parts) }
        }
    }
}

unsafe extern "C" fn drop_parts(parts: Parts) {
    // SAFETY: as in `pointer`; the box was given away by `of` and comes back once.
    let pointer = unsafe { std::mem::transmute::<Parts, *mut dyn Any>(parts) };
    // SAFETY: `pointer` came from a box that nobody else has.
    let boxed = unsafe { Box::from_raw(pointer) };
    // A destructor that panics must not unwind into the host.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(boxed)));
}

/// The functions of the process that runs the cells. All may be called from every thread.
#[repr(C)]
pub struct Host {
    /// Keeps a variable under a name, in the place of an older one; the second text is the name of its type.
    pub put: unsafe extern "C" fn(Text, Text, Value),
    /// The variable of a name, without taking it out.
    pub look: unsafe extern "C" fn(Text) -> Value,
    /// Takes a variable out.
    pub take: unsafe extern "C" fn(Text) -> Value,
    /// The value of the cell in a MIME type; without a type: what is displayed from now on is the value.
    pub value: unsafe extern "C" fn(Text, Text),
    /// A panic: its message, its place, its trace, and whether it is the thread that runs the cell.
    pub panicked: unsafe extern "C" fn(Text, Text, Text, bool),
    /// What a panic said that has ended the cell.
    pub caught: unsafe extern "C" fn(Text),
    /// An error that left the cell: number of the place, type, message.
    pub failed: unsafe extern "C" fn(u32, Text, Text),
    /// True while a cell runs.
    pub is_running: extern "C" fn() -> bool,
}

/// The host of the cell that this shared object was made of.
static HOST: AtomicPtr<Host> = AtomicPtr::new(std::ptr::null_mut());

impl Host {
    /// Makes this host the one that the functions of this crate talk to.
    pub(crate) fn install(&'static self) {
        HOST.store(std::ptr::from_ref(self).cast_mut(), Ordering::Release);
    }

    /// The host, once a cell has begun.
    pub(crate) fn current() -> Option<&'static Host> {
        let host = HOST.load(Ordering::Acquire);
        // SAFETY: only `install` stores here, from a reference that lives for ever.
        unsafe { host.as_ref() }
    }

    /// Keeps a variable.
    pub fn put<T: 'static>(&self, name: &str, value: T) {
        // SAFETY: the texts live during the call.
        unsafe { (self.put)(Text::of(name), Text::of(type_name::<T>()), Value::of(value)) }
    }

    /// Keeps an old variable again, unless the cell has made a new one of that name.
    pub fn put_back<T: 'static>(&self, name: &str, value: T) {
        // SAFETY: the text lives during the call.
        if !unsafe { (self.look)(Text::of(name)) }.is_some() {
            self.put(name, value);
        }
    }

    /// True if the variable is of this type. Types that cells define are not compared (`own`): they are another type in
    /// each version of the session's crate, and the kernel has compared their definitions.
    pub fn fits<T: 'static>(&self, name: &str, own: bool) -> bool {
        // SAFETY: the text lives during the call.
        let value = unsafe { (self.look)(Text::of(name)) };
        if !value.is_some() {
            return false;
        }
        // SAFETY: the variable stays in the store while we look at it: cells run one after the other.
        own || unsafe { &*value.pointer() }.type_id() == TypeId::of::<T>()
    }

    /// Takes a variable out.
    ///
    /// # Safety
    ///
    /// [`Host::fits`] must have said yes for this type.
    pub unsafe fn take<T: 'static>(&self, name: &str) -> T {
        // SAFETY: the text lives during the call.
        let value = unsafe { (self.take)(Text::of(name)) };
        // SAFETY: it fits, so this is the box that `Value::of` took apart, and the store has given it away.
        *unsafe { Box::from_raw(value.pointer().cast::<T>()) }
    }
}
