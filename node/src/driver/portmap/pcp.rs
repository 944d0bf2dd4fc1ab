//! PCP, the Port Control Protocol (RFC 6887): its MAP operation.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use super::exchange::exchange;
use super::{Forwarded, Grant, MapError, Wish};

const VERSION: u8 = 2;
const MAP: u8 = 1;
/// Set in answers.
const ANSWER: u8 = 0x80;
const UDP: u8 = 17;
/// Length of the common header (§7.1, §7.2).
const HEADER: usize = 24;
/// Length of what MAP adds (§11.1).
const MAP_BYTES: usize = 36;

/// Tells one client's mapping from another's (§11.2).
pub(super) type Nonce = [u8; 12];

/// One that cannot be guessed.
///
/// # Errors
/// If the system gives no randomness.
pub(super) fn new_nonce() -> Result<Nonce, MapError> {
    let mut nonce = [0; 12];
    SystemRandom::new().fill(&mut nonce).map_err(|_| MapError::Nonsense("no randomness"))?;
    Ok(nonce)
}

pub(super) async fn map(wish: &Wish, nonce: Nonce) -> Result<Forwarded, MapError> {
    let request = request(wish.own, wish.port, wish.outside_port, wish.lifetime, nonce);
    exchange(wish.gateway, &request, |answer| read(answer, wish.port, nonce)).await
}

/// A life of nothing ends a mapping (§15.1).
pub(super) async fn release(grant: &Grant, nonce: Nonce) -> Result<(), MapError> {
    let request = request(grant.own, grant.port, 0, Duration::ZERO, nonce);
    exchange(grant.gateway, &request, |answer| read(answer, grant.port, nonce)).await.map(|_| ())
}

fn request(own: Ipv4Addr, port: u16, outside_port: u16, lifetime: Duration, nonce: Nonce) -> Vec<u8> {
    let mut request = Vec::with_capacity(HEADER + MAP_BYTES);
    request.extend([VERSION, MAP, 0, 0]);
    request.extend(u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
    request.extend(own.to_ipv6_mapped().octets());
    request.extend(nonce);
    request.extend([UDP, 0, 0, 0]);
    request.extend(port.to_be_bytes());
    request.extend(outside_port.to_be_bytes());
    request.extend(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().octets());
    request
}

#[cfg(fuzzing)]
pub(super) fn read_any(answer: &[u8]) {
    _ = read(answer, 0, Nonce::default());
}

/// What an answer about `port` grants; `None` if it is no answer to that.
fn read(answer: &[u8], port: u16, nonce: Nonce) -> Option<Result<Forwarded, MapError>> {
    let &[version, operation, _, result, ..] = answer else { return None };
    // A gateway of NAT-PMP answers in its own version that it does not know this one (appendix A).
    if version != VERSION {
        return Some(Err(MapError::Refused("unsupported version".to_owned())));
    }
    if operation != MAP | ANSWER {
        return None;
    }
    let Some(map) = answer.get(HEADER..HEADER + MAP_BYTES) else {
        return Some(Err(MapError::Nonsense("an answer cut short")));
    };
    let is_ours = map[..12] == nonce && map[12] == UDP && map[16..18] == port.to_be_bytes();
    if !is_ours {
        return None;
    }
    if result != 0 {
        return Some(Err(MapError::Refused(reason(result).to_owned())));
    }
    let ip = <[u8; 16]>::try_from(&map[20..36]).map(Ipv6Addr::from).ok().and_then(|ip| ip.to_ipv4_mapped());
    let port = u16::from_be_bytes([map[18], map[19]]);
    let lifetime = Duration::from_secs(u32::from_be_bytes([answer[4], answer[5], answer[6], answer[7]]).into());
    let forwarded = ip.map(|ip| Forwarded { external_address: SocketAddrV4::new(ip, port), lifetime });
    Some(forwarded.ok_or(MapError::Nonsense("an external address that is not IPv4")))
}

/// §7.4.
fn reason(result: u8) -> &'static str {
    match result {
        1 => "unsupported version",
        2 => "not authorized",
        3 => "malformed request",
        4 => "unsupported operation",
        7 => "network failure",
        8 => "no resources",
        9 => "unsupported protocol",
        10 => "too many mappings",
        11 => "the external port cannot be had",
        12 => "address mismatch: another NAT is in between",
        _ => "an unknown result",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = *b"twelve bytes";

    fn answer(result: u8) -> Vec<u8> {
        let own = Ipv4Addr::new(10, 1, 0, 10);
        let mut bytes = request(own, 4_001, 4_002, Duration::from_secs(60), NONCE);
        (bytes[1], bytes[3]) = (MAP | ANSWER, result);
        bytes[44..60].copy_from_slice(&Ipv4Addr::new(203, 0, 113, 7).to_ipv6_mapped().octets());
        bytes
    }

    #[test]
    fn the_bytes_are_those_of_the_rfc() {
        let bytes = request(Ipv4Addr::new(10, 1, 0, 10), 4_001, 4_002, Duration::from_secs(7_200), NONCE);
        let mut expected = vec![2, 1, 0, 0, 0, 0, 0x1C, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, 1, 0, 10];
        expected.extend(b"twelve bytes");
        expected.extend([17, 0, 0, 0, 0x0F, 0xA1, 0x0F, 0xA2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn an_answer_is_read_and_another_s_passed_over() {
        let external_address = "203.0.113.7:4002".parse().unwrap();
        let granted = Forwarded { external_address, lifetime: Duration::from_secs(60) };
        assert_eq!(read(&answer(0), 4_001, NONCE).unwrap().unwrap(), granted);
        assert!(read(&answer(0), 4_000, NONCE).is_none(), "another port's");
        assert!(read(&answer(0), 4_001, [0; 12]).is_none(), "another client's");
        let refused = read(&answer(10), 4_001, NONCE).unwrap().unwrap_err();
        assert_eq!(refused.to_string(), "refused: too many mappings");
        let of_nat_pmp = read(&[0, 129, 0, 1, 0, 0, 0, 0], 4_001, NONCE).unwrap().unwrap_err();
        assert_eq!(of_nat_pmp.to_string(), "refused: unsupported version");
    }

    #[test]
    fn an_answer_cut_anywhere_grants_nothing() {
        let full = answer(0);
        for length in 0..full.len() {
            assert!(!matches!(read(&full[..length], 4_001, NONCE), Some(Ok(_))), "{length}");
        }
    }
}
