//! NAT-PMP (RFC 6886).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::exchange::exchange;
use super::{Forwarded, Grant, MapError, Wish};

const VERSION: u8 = 0;
const EXTERNAL_ADDRESS: u8 = 0;
const MAP_UDP: u8 = 1;
/// Added to the operation in answers.
const ANSWER: u8 = 128;

pub(super) async fn map(wish: &Wish) -> Result<Forwarded, MapError> {
    let ip = exchange(wish.gateway, &[VERSION, EXTERNAL_ADDRESS], read_address).await?;
    let request = request(wish.port, wish.outside_port, wish.lifetime);
    let (port, lifetime) = exchange(wish.gateway, &request, |answer| read_mapping(answer, wish.port)).await?;
    Ok(Forwarded { external_address: SocketAddrV4::new(ip, port), lifetime })
}

/// A life of nothing ends a mapping (§3.4).
pub(super) async fn release(grant: &Grant) -> Result<(), MapError> {
    let request = request(grant.port, 0, Duration::ZERO);
    exchange(grant.gateway, &request, |answer| read_mapping(answer, grant.port)).await.map(|_| ())
}

fn request(port: u16, outside_port: u16, lifetime: Duration) -> Vec<u8> {
    let mut request = vec![VERSION, MAP_UDP, 0, 0];
    request.extend(port.to_be_bytes());
    request.extend(outside_port.to_be_bytes());
    request.extend(u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
    request
}

#[cfg(fuzzing)]
pub(super) fn read_any(answer: &[u8]) {
    _ = read_address(answer);
    _ = read_mapping(answer, 0);
}

fn read_address(answer: &[u8]) -> Option<Result<Ipv4Addr, MapError>> {
    Some(body(answer, EXTERNAL_ADDRESS)?.and_then(|rest| match *rest {
        [a, b, c, d, ..] => Ok(Ipv4Addr::new(a, b, c, d)),
        _ => Err(MapError::Nonsense("an address cut short")),
    }))
}

/// The outside port of an answer about `port`, and for how long.
fn read_mapping(answer: &[u8], port: u16) -> Option<Result<(u16, Duration), MapError>> {
    match body(answer, MAP_UDP)? {
        Err(error) => Some(Err(error)),
        Ok(&[a, b, c, d, ref lifetime @ ..]) => {
            let Some(&lifetime) = lifetime.first_chunk() else {
                return Some(Err(MapError::Nonsense("a life cut short")));
            };
            let granted = (u16::from_be_bytes([c, d]), Duration::from_secs(u32::from_be_bytes(lifetime).into()));
            (u16::from_be_bytes([a, b]) == port).then_some(Ok(granted))
        }
        Ok(_) => Some(Err(MapError::Nonsense("a mapping cut short"))),
    }
}

/// What follows result code and epoch; `None` if it is no answer to this operation.
fn body(answer: &[u8], operation: u8) -> Option<Result<&[u8], MapError>> {
    let (&[version, answered, high, low], rest) = answer.split_first_chunk()?;
    if version != VERSION || answered != operation + ANSWER {
        return None;
    }
    Some(match u16::from_be_bytes([high, low]) {
        0 => rest.get(4..).ok_or(MapError::Nonsense("an answer cut short")),
        code => Err(MapError::Refused(reason(code).to_owned())),
    })
}

/// §3.5.
fn reason(code: u16) -> &'static str {
    match code {
        1 => "unsupported version",
        2 => "not authorized",
        3 => "network failure",
        4 => "out of resources",
        5 => "unsupported operation",
        _ => "an unknown result",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_rfc() {
        let request = request(0x1234, 0x4321, Duration::from_secs(7_200));
        assert_eq!(request, [0, 1, 0, 0, 0x12, 0x34, 0x43, 0x21, 0, 0, 0x1C, 0x20]);
        let answer = [0, 129, 0, 0, 0, 0, 0, 9, 0x12, 0x34, 0x43, 0x22, 0, 0, 0x02, 0x58];
        assert_eq!(read_mapping(&answer, 0x1234).unwrap().unwrap(), (0x4322, Duration::from_secs(600)));
        assert!(read_mapping(&answer, 0x1235).is_none(), "another port's");
        let address = [0, 128, 0, 0, 0, 0, 0, 9, 203, 0, 113, 7];
        assert_eq!(read_address(&address).unwrap().unwrap(), Ipv4Addr::new(203, 0, 113, 7));
        assert!(read_address(&answer).is_none(), "an answer to something else");
    }

    #[test]
    fn no_answer_makes_it_panic_and_a_no_is_told() {
        let full = [0, 129, 0, 0, 0, 0, 0, 9, 0x12, 0x34, 0x43, 0x22, 0, 0, 0x1C, 0x20];
        for length in 0..full.len() {
            assert!(!matches!(read_mapping(&full[..length], 0x1234), Some(Ok(_))), "{length}");
        }
        let refused = read_mapping(&[0, 129, 0, 2], 1).unwrap().unwrap_err();
        assert_eq!(refused.to_string(), "refused: not authorized");
    }
}
