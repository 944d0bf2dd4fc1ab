//! Which packets are lost: each by its own luck, or in bursts.
//!
//! Bursts are E. N. Gilbert's ("Capacity of a Burst-Noise Channel", Bell System Technical Journal 39, 1960; E. O. Elliott's
//! generalisation of 1963 with a good state that loses nothing and a bad one that loses everything). The chain is in the
//! good or the bad state for each packet; with a chance `p` it goes from good to bad, with `r` from bad to good. So bursts last
//! 1/r packets in the mean, and p/(p+r) of all are lost (G. Haßlinger, O. Hohlfeld: "The Gilbert-Elliott Model for Packet
//! Loss in Real Time Services on the Internet", MMB 2008).

use butter::core::random::Random;

use super::{Chance, LinkConfig, burst_min};

/// Who is lost next.
#[derive(Debug)]
pub(super) enum Loss {
    /// Each packet with the same chance.
    Independent(Chance),
    /// Gilbert's chain.
    Bursts {
        /// Into the bad state, from packet to packet: `p`.
        begin: Chance,
        /// Out of it: `r`.
        end: Chance,
        /// Whether it is in the bad state.
        bad: bool,
    },
}

impl Loss {
    /// In a state drawn as often as it is found.
    ///
    /// # Panics
    /// If the loss is no share, or the burst is below [`burst_min`].
    pub(super) fn new(config: &LinkConfig, random: &mut Random) -> Self {
        let lost = Chance::new(config.loss);
        let Some(burst) = config.loss_burst.filter(|_| config.loss > 0.0) else { return Loss::Independent(lost) };
        assert!(config.loss < 1.0 && burst >= burst_min(config.loss), "no bursts of {burst} make up such a loss");
        // From p/(p+r) = loss and r = 1/burst. Rounding may take the quotient past 1 by one unit.
        let begin = (config.loss / (burst * (1.0 - config.loss))).min(1.0);
        Loss::Bursts { begin: Chance::new(begin), end: Chance::new(1.0 / burst), bad: lost.strikes(random) }
    }

    /// Whether the next packet is lost.
    pub(super) fn strikes(&mut self, random: &mut Random) -> bool {
        match self {
            Loss::Independent(chance) => chance.strikes(random),
            Loss::Bursts { begin, end, bad } => {
                let lost = *bad;
                let turns = if lost { end.strikes(random) } else { begin.strikes(random) };
                *bad = lost != turns;
                lost
            }
        }
    }
}
