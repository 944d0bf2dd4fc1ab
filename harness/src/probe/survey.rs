//! Which routers of a plan are probed, from where, and all of it carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use anyhow::{Context, anyhow};
use futures_util::{StreamExt, TryStreamExt, stream};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::limits::unfit;
use super::observe::{ProbeHost, observe};
use super::{DeclaredRouter, ObservedRouter, ProbeError, ProbeOutcome, RouterDiffers, SkippedRouters, judge};
use crate::netns::host::{BridgeNamespace, HostSpec, InterfaceSpec};
use crate::netns::{NamespaceWorkers, raise_descriptor_limit};
use crate::plan::{Network, NetworkIndex, Plan, Uplink};
use crate::progress::Progress;

/// Most routers that are probed in a run.
///
/// That many take half a minute where two cores are busy. Each also takes two entries of the kernel's neighbour table, which has 1,024 as Linux comes.
const ROUTERS_MAX: usize = 256;
/// Routers that are probed at once: most of the time they are left idle.
const AT_ONCE: usize = 32;
/// Routers whose delay and losses are measured at once: more would be in each other's way.
const MEASURED_AT_ONCE: usize = 4;
/// Hosts that are made at once.
const HOSTS_AT_ONCE: usize = 8;
/// Networks that are named in one line.
const NAMED_MAX: usize = 5;

/// What is to be probed: all that whoever does it has to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Survey {
    places: Vec<ProbeSite>,
    targets: Vec<ProbeTarget>,
}

/// Where a host of the probe is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ProbeSite {
    bridge: String,
    subnet: Ipv4Net,
    gateway: Ipv4Addr,
    /// So many as a [`ProbeHost`] needs, which are free.
    addresses: Vec<Ipv4Addr>,
}

/// A router to be probed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ProbeTarget {
    network: String,
    declared: DeclaredRouter,
    /// Index of a place.
    inside: usize,
    /// Index of a place.
    outside: usize,
}

/// What was found of one router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// Index of a subject.
    target: usize,
    /// An error tells what is not as declared.
    observed: Result<ObservedRouter, String>,
}

/// Of which routers a plan is made, and what has been found of them so far.
#[derive(Debug)]
pub(crate) struct Findings {
    /// How many there are.
    routers: usize,
    /// Networks, by the reason why their routers are not probed.
    skipped: BTreeMap<String, Vec<String>>,
    /// The network of each subject.
    targets: Vec<(NetworkIndex, String)>,
    observed: BTreeMap<usize, ObservedRouter>,
}

impl Survey {
    /// Of a plan's routers, those of all groups in turn. `bridge` names a network's bridge; `taken` are addresses that the plan
    /// does not know of.
    pub(crate) fn of(
        plan: &Plan,
        bridge: impl Fn(NetworkIndex) -> String,
        taken: &BTreeSet<Ipv4Addr>,
    ) -> (Self, Findings) {
        let candidates = in_turn(plan);
        let routers = candidates.len();
        let mut survey = Survey::default();
        let (mut targets, mut skipped) = (Vec::new(), BTreeMap::<String, Vec<String>>::new());
        let mut places = BTreeMap::new();
        for (index, network, uplink) in candidates {
            let mut place =
                |at: NetworkIndex| *places.entry(at).or_insert_with(|| survey.place(plan, at, &bridge, taken));
            let declared = DeclaredRouter::from(uplink);
            let sides = match unfit(&declared) {
                _ if !uplink.firewall.is_open() => Err(HAS_FIREWALL.to_owned()),
                None => place(index).zip(place(uplink.to)).ok_or_else(|| NO_ADDRESSES.to_owned()),
                Some(why) => Err(why),
            };
            let network = network.name.clone();
            match sides {
                Ok(_) if survey.targets.len() == ROUTERS_MAX => {
                    skipped.entry(format!("no more than {ROUTERS_MAX} are probed")).or_default().push(network);
                }
                Ok((inside, outside)) => {
                    targets.push((index, network.clone()));
                    survey.targets.push(ProbeTarget { network, declared, inside, outside });
                }
                Err(why) => skipped.entry(why).or_default().push(network),
            }
        }
        (survey, Findings { routers, skipped, targets, observed: BTreeMap::new() })
    }

    /// Index of a new place in this network, if so many addresses are free.
    fn place(
        &mut self,
        plan: &Plan,
        index: NetworkIndex,
        bridge: impl Fn(NetworkIndex) -> String,
        taken: &BTreeSet<Ipv4Addr>,
    ) -> Option<usize> {
        let free = plan.free_addresses(index).filter(|address| !taken.contains(address));
        let addresses: Vec<_> = free.take(ProbeHost::ADDRESSES).collect();
        let network = plan.network(index);
        let place = ProbeSite { bridge: bridge(index), subnet: network.subnet, gateway: network.gateway, addresses };
        (place.addresses.len() == ProbeHost::ADDRESSES).then(|| self.places.push(place))?;
        Some(self.places.len() - 1)
    }

    /// How many routers are probed.
    pub(crate) fn len(&self) -> usize {
        self.targets.len()
    }

    /// Makes the hosts of the probe, at bridges of this process's own namespace: see [`Survey::hosts`].
    pub(crate) async fn hosts_at_home(&self, workers: &NamespaceWorkers) -> anyhow::Result<Vec<ProbeHost>> {
        self.hosts(&BridgeNamespace::new(workers.clone(), workers.home()?)).await
    }

    /// Makes the hosts of the probe, which are gone with what this returns.
    pub(crate) async fn hosts(&self, bridges: &BridgeNamespace) -> anyhow::Result<Vec<ProbeHost>> {
        raise_descriptor_limit()?;
        let hosts = self.places.iter().map(|place| place.host(bridges));
        stream::iter(hosts).buffered(HOSTS_AT_ONCE).try_collect().await.context("making the hosts of the probe")
    }

    /// Probes all routers from these hosts, until `found` has an error.
    pub(crate) async fn carry_out<E>(
        &self,
        hosts: &[ProbeHost],
        mut found: impl FnMut(Finding) -> Result<(), E>,
    ) -> Result<(), E> {
        let measuring = &Semaphore::new(MEASURED_AT_ONCE);
        let probes = self.targets.iter().enumerate().map(|(index, target)| async move {
            let observed = target.probe(hosts, measuring).await.map_err(|why| format!("{why:#}"));
            Finding { target: index, observed }
        });
        let mut findings = stream::iter(probes).buffer_unordered(AT_ONCE);
        while let Some(finding) = findings.next().await {
            found(finding)?;
        }
        Ok(())
    }
}

/// Why a router is left out, for a person.
const HAS_FIREWALL: &str = "what a firewall stops is no sign of the NAT behind it";
/// The same.
const NO_ADDRESSES: &str = "two free addresses are needed on both sides";

/// Routers with a network on either side: the first of each group of networks, then the second of each, and so on.
fn in_turn(plan: &Plan) -> Vec<(NetworkIndex, &Network, &Uplink)> {
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    let networks = plan.networks.iter().enumerate();
    let behind = networks.filter_map(|(index, network)| Some((NetworkIndex(index), network, network.behind.as_ref()?)));
    let mut ranked: Vec<_> = behind
        .map(|router| {
            let rank = groups.entry(&router.1.group).or_default();
            *rank += 1;
            (*rank, router)
        })
        .collect();
    ranked.sort_by_key(|(rank, (index, ..))| (*rank, *index));
    ranked.into_iter().map(|(_, router)| router).collect()
}

impl ProbeSite {
    async fn host(&self, bridges: &BridgeNamespace) -> anyhow::Result<ProbeHost> {
        let bridge = bridges.bridge(self.bridge.clone()).await?;
        let (&address, others) = self.addresses.split_first().context("a host has an address")?;
        let address = Ipv4Net::new(address, self.subnet.prefix_len()).context("the prefix of a subnet")?;
        let end = InterfaceSpec { bridge, address, others: others.to_vec() };
        let host = HostSpec { interfaces: vec![end], gateway: Some(self.gateway), ..HostSpec::default() };
        Ok(ProbeHost { namespace: bridges.host(host).await?, addresses: self.addresses.clone() })
    }
}

impl ProbeTarget {
    async fn probe(&self, hosts: &[ProbeHost], measuring: &Semaphore) -> anyhow::Result<ObservedRouter> {
        let (inside, outside) = (&hosts[self.inside], &hosts[self.outside]);
        let observed = observe(&self.network, &self.declared, inside, outside, measuring).await?;
        judge(&self.declared, &observed).map_err(|why| anyhow!(why))?;
        Ok(observed)
    }
}

impl Findings {
    /// Takes note of one.
    ///
    /// # Errors
    /// With what is not as declared.
    pub(crate) fn take(&mut self, finding: Finding) -> Result<(), ProbeError> {
        let (_, network) = self.targets.get(finding.target).context("a finding of what was not to be probed")?;
        let differs = |observation| RouterDiffers { network: network.clone(), observation };
        self.observed.insert(finding.target, finding.observed.map_err(differs)?);
        Ok(())
    }

    /// The networks whose routers are probed.
    pub(crate) fn networks(&self) -> impl Iterator<Item = NetworkIndex> {
        self.targets.iter().map(|(network, _)| *network)
    }

    /// What came of all. Tells what was left out.
    ///
    /// # Errors
    /// If not every router of the survey was found to be as declared.
    pub(crate) fn into_probed(self, progress: &mut dyn Progress) -> Result<ProbeOutcome, ProbeError> {
        if self.observed.len() < self.targets.len() {
            let (seen, all) = (self.observed.len(), self.targets.len());
            return Err(anyhow!("the probe has ended after {seen} of {all} routers").into());
        }
        let skipped: Vec<_> =
            self.skipped.into_iter().map(|(why, networks)| SkippedRouters { why, networks }).collect();
        if !skipped.is_empty() {
            let reasons: Vec<_> = skipped.iter().map(describe).collect();
            let (probed, all) = (self.observed.len(), self.routers);
            progress.note(&format!("probed {probed} of {all} routers; not {}", reasons.join("; not ")));
        }
        Ok(ProbeOutcome::Passed { routers: self.routers, networks: self.observed.into_values().collect(), skipped })
    }
}

/// `those of a, b and 3 more: too small`.
fn describe(skipped: &SkippedRouters) -> String {
    let SkippedRouters { why, networks } = skipped;
    let named = networks.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = networks.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("those of {named}{more}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::nat::NatConfig;
    use crate::testing;

    fn survey(plan: &Plan) -> (Survey, Findings) {
        Survey::of(plan, |network| format!("n{}", network.0), &BTreeSet::new())
    }

    fn targets(survey: &Survey) -> Vec<(&str, &str, &str)> {
        let bridge = |place: usize| survey.places[place].bridge.as_str();
        let sides = |target: &ProbeTarget| (bridge(target.inside), bridge(target.outside));
        survey.targets.iter().map(|target| (target.network.as_str(), sides(target).0, sides(target).1)).collect()
    }

    #[track_caller]
    fn skipped(findings: &Findings, expected: &[(&str, usize)]) {
        let left: Vec<_> = findings.skipped.iter().map(|(why, networks)| (why.as_str(), networks.len())).collect();
        assert_eq!(left, expected);
    }

    #[test]
    fn each_router_is_probed_from_both_of_its_sides() {
        let plan = testing::plan();
        let taken = BTreeSet::from(["203.0.113.254".parse().unwrap()]);
        let (survey, findings) = Survey::of(&plan, |network| format!("n{}", network.0), &taken);
        assert_eq!(targets(&survey), [("alpha", "n1", "n0"), ("beta", "n2", "n0")]);
        let internet = survey.places.iter().find(|place| place.bridge == "n0").unwrap();
        let free: [Ipv4Addr; 2] = ["203.0.113.253", "203.0.113.252"].map(|free| free.parse().unwrap());
        assert_eq!(internet.addresses, free);
        skipped(&findings, &[]);
        let sent = serde_json::to_string(&survey).unwrap();
        assert_eq!(serde_json::from_str::<Survey>(&sent).unwrap(), survey);
    }

    #[test]
    fn of_very_many_some_of_each_group_are_probed() {
        let mut plan = testing::plan();
        for _ in 0..ROUTERS_MAX {
            plan.networks.push(plan.networks[1].clone());
        }
        let (survey, findings) = survey(&plan);
        assert_eq!((survey.len(), findings.routers), (ROUTERS_MAX, ROUTERS_MAX + 2));
        assert_eq!(targets(&survey)[..2], [("alpha", "n1", "n0"), ("beta", "n2", "n0")]);
        skipped(&findings, &[("no more than 256 are probed", 2)]);
    }

    #[test]
    fn where_the_probe_has_no_room_that_is_told() {
        let mut plan = testing::plan();
        let quota = NatConfig { quota: Some(3), ..NatConfig::cgnat() };
        plan.networks[1].behind.as_mut().unwrap().nat = Some(quota);
        plan.networks[2].subnet = "10.2.0.8/30".parse().unwrap();
        let (survey, findings) = survey(&plan);
        assert_eq!(survey.len(), 0);
        skipped(&findings, &[("the probe needs 16 mappings, and a host gets 3", 1), (NO_ADDRESSES, 1)]);
    }

    #[test]
    fn what_differs_ends_it_and_what_was_not_found_is_no_pass() {
        let (_, mut findings) = survey(&testing::plan());
        let refused = findings.take(Finding { target: 1, observed: Err("it is slow".to_owned()) }).unwrap_err();
        assert!(refused.to_string().starts_with("beta does not behave as declared: it is slow"), "{refused}");
        assert_eq!(findings.observed.len(), 0);
        let why =
            SkippedRouters { why: "no room".into(), networks: (1..8).map(|number| format!("a-{number}")).collect() };
        assert_eq!(describe(&why), "those of a-1, a-2, a-3, a-4, a-5 and 2 more: no room");
    }
}
