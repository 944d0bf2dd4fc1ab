//! Whatever hosts of a LAN ask their router is a request, refused or ignored.

#![no_main]

use butter_harness::router::gateway::{pcp, pmp, soap, ssdp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    _ = pcp::parse(bytes);
    _ = pmp::parse(bytes);
    _ = soap::parse(bytes);
    _ = ssdp::searched(bytes);
});
