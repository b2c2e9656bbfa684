//! The crash drill in its short form: a few kills, every invariant. `pg_test crash` is the long one.

use pg_test::crash::{Size, drill};

#[test]
fn whatever_is_killed_nothing_is_lost_done_twice_or_stuck() {
    // One seed, so that what is killed is the same each time; how far the server is by then is the machine's.
    let verdict = drill(Size::SHORT, 7).unwrap();
    assert!(verdict.holds(), "{verdict}");
}
