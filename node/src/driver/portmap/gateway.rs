//! The router that the default route leads to, as Linux tells it.

use std::net::Ipv4Addr;

use super::MapError;

const ROUTES: &str = "/proc/net/route";
/// The route is up, and leads to a router (`RTF_UP`, `RTF_GATEWAY`).
const UP_TO_GATEWAY: u32 = 0x1 | 0x2;

/// The gateway of the default route.
///
/// # Errors
/// If there is none, or the system does not tell.
pub(super) fn default_route() -> Result<Ipv4Addr, MapError> {
    parse(&std::fs::read_to_string(ROUTES)?).ok_or(MapError::Nonsense("no default route"))
}

#[cfg(fuzzing)]
pub(super) fn read_any(table: &str) {
    _ = parse(table);
}

/// Of several default routes the one with the least metric.
fn parse(table: &str) -> Option<Ipv4Addr> {
    let route = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let mut hex = |skip: usize| u32::from_str_radix(fields.nth(skip)?, 16).ok();
        let (destination, gateway, flags) = (hex(0)?, hex(0)?, hex(0)?);
        let mut fields = line.split_whitespace().skip(6);
        let metric: u32 = fields.next()?.parse().ok()?;
        let mask = u32::from_str_radix(fields.next()?, 16).ok()?;
        let is_default = destination == 0 && mask == 0 && flags & UP_TO_GATEWAY == UP_TO_GATEWAY;
        // The kernel prints the bytes of the network's order as a number of the machine's.
        is_default.then(|| (metric, Ipv4Addr::from(gateway.to_ne_bytes())))
    };
    table.lines().skip(1).filter_map(route).min_by_key(|(metric, _)| *metric).map(|(_, gateway)| gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    #[cfg(target_endian = "little")]
    #[test]
    fn the_best_default_route_is_found() {
        let table = format!(
            "{HEADER}eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n\
             wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
             eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0\n"
        );
        assert_eq!(parse(&table), Some(Ipv4Addr::new(192, 168, 1, 1)));
    }

    #[test]
    fn without_a_default_route_there_is_no_gateway() {
        let half = format!("{HEADER}tun0\t00000000\t0000008");
        for table in ["", HEADER, "x\n\n", half.as_str()] {
            assert_eq!(parse(table), None, "{table}");
        }
    }
}
