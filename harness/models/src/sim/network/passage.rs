//! What a router does with a packet: its filter, its NAT and its links.

use butter::core::time::Time;

use super::{Router, Way, ipv6};
use crate::net::link::Transit;
use crate::net::nat::{Flow, TcpFlags, Verdict};
use crate::net::network_policy::{IpVersion, Subject};

impl Router {
    /// The addresses beyond the NAT of a packet that comes to go up or down, and the way that it really goes; `None` if it is
    /// dropped.
    pub(super) fn translate(&mut self, now: Time, flow: Flow, ahead: Way) -> Option<(Flow, Way)> {
        if ahead == Way::Up && !self.lets_through(now, flow, ahead) {
            return None;
        }
        let (flow, way) = self.beyond_nat(now, flow, ahead)?;
        (way != Way::Down || self.lets_through(now, flow, way)).then_some((flow, way))
    }

    /// Whether what a host inside sends or would get passes.
    fn lets_through(&mut self, now: Time, flow: Flow, way: Way) -> bool {
        let version = if ipv6::is_label(*flow.source.ip()) { IpVersion::V6 } else { IpVersion::V4 };
        let passes = match way {
            Way::Up => self.filter.outbound(now, version, Subject::of_flow(flow)),
            Way::Down => self.filter.inbound(now, version, Subject::of_flow(flow)),
            Way::Turn => Ok(()),
        };
        if let Err(why) = passes {
            self.stats.drop(why.into());
        }
        passes.is_ok()
    }

    fn beyond_nat(&mut self, now: Time, flow: Flow, ahead: Way) -> Option<(Flow, Way)> {
        if ipv6::is_label(*flow.source.ip()) {
            return self.lets_pass(now, flow, ahead).then_some((flow, ahead));
        }
        let Some(nat) = &mut self.nat else { return Some((flow, ahead)) };
        let flags = TcpFlags::default();
        let verdict = if ahead == Way::Up { nat.outbound(now, flow, flags) } else { nat.inbound(now, flow, flags) };
        match verdict {
            Verdict::Pass(flow) => Some((flow, ahead)),
            Verdict::Hairpin(flow) => Some((flow, Way::Turn)),
            Verdict::Drop(why) => {
                self.stats.drop(why.into());
                None
            }
        }
    }

    pub(super) fn send(&mut self, way: Way, now: Time, bytes: usize) -> Transit {
        let transit = way.side().map_or(Transit::Arrives(now), |side| self.pipes[side].link.send(now, bytes));
        match transit {
            Transit::Arrives(_) => self.stats.forward(way.direction(), 1, bytes as u64),
            Transit::Altered(_, alteration) => {
                let packets = 1 + u64::from(alteration.twice);
                self.stats.alter(alteration);
                self.stats.forward(way.direction(), packets, packets * bytes as u64);
            }
            Transit::Drop(why) => self.stats.drop(why.into()),
        }
        transit
    }
}
