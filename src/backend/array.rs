//! Arrays as arguments.

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;

/// Numbers as a `real[]` argument, which a cast makes a `vector` of: it checks length and finiteness, and costs microseconds.
/// A vector has a thousand of them, and pgrx would append them one by one.
pub fn reals<'a>(numbers: &[f32]) -> DatumWithOid<'a> {
    let mut datums: Vec<pg_sys::Datum> =
        numbers.iter().map(|number| pg_sys::Datum::from(number.to_bits() as usize)).collect();
    let count = i32::try_from(datums.len()).unwrap_or(i32::MAX);
    let align = pg_sys::TYPALIGN_INT as std::ffi::c_char;
    // SAFETY: on the main thread; `count` datums of the built-in type real, of four bytes, by value, as its row in pg_type
    // says. The array is made in the current memory context, which outlives the statement it is an argument of.
    unsafe {
        let array = pg_sys::construct_array(datums.as_mut_ptr(), count, pg_sys::FLOAT4OID, 4, true, align);
        DatumWithOid::new(pg_sys::Datum::from(array), pg_sys::FLOAT4ARRAYOID)
    }
}
