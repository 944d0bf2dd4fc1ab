//! Whatever the router on the way out answers is a mapping, a refusal or nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| butter::driver::read_answer_of_gateway(bytes));
