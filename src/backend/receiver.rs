//! Where the rows of a command go: each becomes a JSON object, as `row_to_json` writes it, until there are enough.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_int};
use std::ptr;

use pgrx::{FromDatum, PgTupleDesc, pg_guard, pg_sys};
use serde_json::Value;

/// The longest text inside of a row that does not fit, in characters.
const MOST_CHARACTERS: usize = 300;

/// A destination of the server's, with the rows that reached it.
#[repr(C)]
pub struct Receiver {
    // First: the server hands the receiver back by this field's address.
    base: pg_sys::DestReceiver,
    /// What a row is made of, by names of its own; as long as the command runs.
    columns: pg_sys::TupleDesc,
    rows: Vec<Value>,
    room: usize,
    most: usize,
    /// Whether the command may end as soon as there are enough rows: one that acts has to run to its end.
    stops: bool,
    truncated: bool,
}

impl Receiver {
    /// One that keeps at most so many rows, and so many bytes of them.
    pub fn new(most: usize, room: usize, stops: bool) -> Self {
        let base = pg_sys::DestReceiver {
            receiveSlot: Some(receive),
            rStartup: Some(start),
            rShutdown: Some(end),
            rDestroy: Some(end),
            mydest: pg_sys::CommandDest::DestSPI,
        };
        Self { base, columns: ptr::null_mut(), rows: Vec::new(), room, most, stops, truncated: false }
    }

    /// As the server wants it; valid for as long as the receiver is where it is.
    pub fn as_destination(&mut self) -> *mut pg_sys::DestReceiver {
        ptr::from_mut(self).cast()
    }

    /// The rows, and whether there were more or longer ones.
    pub fn into_rows(self) -> (Vec<Value>, bool) {
        (self.rows, self.truncated)
    }

    /// Keep a row if there is room; whether more are wanted.
    fn keep(&mut self, json: &str) -> bool {
        if self.rows.len() >= self.most || self.room == 0 {
            self.truncated = true;
            return !self.stops;
        }
        let mut row: Value = serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.to_owned()));
        let mut length = json.len();
        if length > self.room {
            self.truncated = true;
            shorten(&mut row);
            length = row.to_string().len();
        }
        if length <= self.room {
            self.room -= length;
            self.rows.push(row);
        } else {
            self.room = 0;
        }
        true
    }
}

/// Cut every long text in a row, and say so where it was cut.
fn shorten(value: &mut Value) {
    match value {
        Value::String(text) => {
            let characters = text.chars().count();
            if characters > MOST_CHARACTERS {
                let kept: String = text.chars().take(MOST_CHARACTERS).collect();
                *text = format!("{kept}… ({characters} characters)");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

#[pg_guard]
// SAFETY: the executor calls it with a slot that holds a row, and with the receiver that it was given.
unsafe extern "C-unwind" fn receive(slot: *mut pg_sys::TupleTableSlot, this: *mut pg_sys::DestReceiver) -> bool {
    // SAFETY: as above: `this` is a `Receiver`, whose first field it points at, and `start` has run. All of it is allocated in a context that goes with the row.
    unsafe {
        let receiver = &mut *this.cast::<Receiver>();
        if receiver.rows.len() >= receiver.most || receiver.room == 0 {
            receiver.truncated = true;
            return !receiver.stops;
        }
        let context = pg_sys::AllocSetContextCreateInternal(
            pg_sys::CurrentMemoryContext,
            c"oncall row".as_ptr(),
            pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
            pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
        let before = pg_sys::MemoryContextSwitchTo(context);
        let columns = (*receiver.columns).natts;
        if i32::from((*slot).tts_nvalid) < columns {
            pg_sys::slot_getsomeattrs_int(slot, columns);
        }
        let row = pg_sys::heap_form_tuple(receiver.columns, (*slot).tts_values, (*slot).tts_isnull);
        let row = pg_sys::heap_copy_tuple_as_datum(row, receiver.columns);
        let json =
            pg_sys::OidFunctionCall1Coll(pg_sys::Oid::from(pg_sys::F_ROW_TO_JSON_RECORD), pg_sys::InvalidOid, row);
        let json = String::from_datum(json, false).unwrap_or_default();
        pg_sys::MemoryContextSwitchTo(before);
        pg_sys::MemoryContextDelete(context);
        receiver.keep(&json)
    }
}

#[pg_guard]
// SAFETY: the executor calls it before the first row, with what the rows are made of, in a context that lives as long as
// the command.
unsafe extern "C-unwind" fn start(this: *mut pg_sys::DestReceiver, _operation: c_int, row: pg_sys::TupleDesc) {
    // SAFETY: as above; `this` is a `Receiver`, whose first field it points at. `row_to_json` finds the columns of a row
    // by a number that its description gets.
    unsafe {
        let columns = pg_sys::CreateTemplateTupleDesc((*row).natts);
        let mut names = BTreeSet::new();
        for (place, column) in PgTupleDesc::from_pg_unchecked(row).iter().enumerate() {
            let name = CStr::from_ptr(column.attname.data.as_ptr()).to_string_lossy().into_owned();
            // An object holds each name once, and two columns must not become one.
            let name = if names.contains(&name) { format!("{name} {}", place + 1) } else { name };
            let c_name = CString::new(name.as_str()).unwrap_or_default();
            let number = place as i16 + 1;
            pg_sys::TupleDescInitEntry(columns, number, c_name.as_ptr(), column.atttypid, column.atttypmod, 0);
            names.insert(name);
        }
        (*this.cast::<Receiver>()).columns = pg_sys::BlessTupleDesc(columns);
    }
}

#[pg_guard]
// SAFETY: the executor calls it after the last row; the receiver belongs to who made it.
unsafe extern "C-unwind" fn end(_this: *mut pg_sys::DestReceiver) {}
