//! Random graphs from a seed.

use std::collections::BTreeSet;

use butter::core::random::{Random, child};
use rand::RngExt;

use super::{GRAPH_LINKS_MAX, GraphError, GraphForm, PrescribedGraph};

/// Keeps these generators apart from those of other users of the run's seed: `grph`, in the upper half.
const PURPOSE: u64 = 0x6772_7068_0000_0000;
/// Graphs that are drawn until one is one component.
const DRAWS_MAX: u64 = 100;
/// Links that one is exchanged with, at most, to give it another end.
const EXCHANGES_MAX: usize = 400;

/// A link between two nodes.
type Link = (usize, usize);

/// The links of a graph that is one component.
pub(super) fn links(form: &GraphForm, networks: &[usize], seed: u64) -> Result<Vec<Link>, GraphError> {
    let nodes = networks.len();
    let form = &match *form {
        GraphForm::RandomLike { nodes: of, links } => GraphForm::Random(links.saturating_mul(nodes) / of.max(1)),
        _ => form.clone(),
    };
    check(form, nodes)?;
    for draw in 0..DRAWS_MAX {
        let random = &mut child(seed, PURPOSE | draw);
        let drawn = match form {
            GraphForm::Regular(2) => Some(circle(nodes, random)),
            GraphForm::Regular(degree) => regular(nodes, *degree, random),
            GraphForm::PowerLaw(each) => Some(power_law(nodes, *each, random)),
            GraphForm::Lans { within, across } => Some(lans(networks, *within, *across, random)),
            GraphForm::Random(count) => Some(random_links(nodes, *count, random)),
            GraphForm::RandomLike { .. } => unreachable!("its links were counted"),
            GraphForm::Edges(_) => panic!("links of a file are read, not drawn"),
        };
        if let Some(links) = drawn
            && PrescribedGraph::of_links(form.clone(), nodes, &links).components() == 1
        {
            return Ok(links);
        }
    }
    Err(GraphError::Apart)
}

fn check(form: &GraphForm, nodes: usize) -> Result<(), GraphError> {
    let too_few = |neighbours| Err(GraphError::TooFewNodes { neighbours, nodes });
    let links = match *form {
        GraphForm::Regular(neighbours) | GraphForm::PowerLaw(neighbours) if neighbours >= nodes => {
            return too_few(neighbours);
        }
        GraphForm::Regular(neighbours) if nodes * neighbours % 2 == 1 => {
            return Err(GraphError::OddEnds { neighbours, nodes });
        }
        GraphForm::Random(links) => {
            let (least, most) = (nodes.saturating_sub(1), nodes.saturating_mul(nodes.saturating_sub(1)) / 2);
            if !(least..=most).contains(&links) {
                return Err(GraphError::LinksOutOfRange { links, nodes, least, most });
            }
            links
        }
        GraphForm::Regular(neighbours) => nodes.saturating_mul(neighbours) / 2,
        GraphForm::PowerLaw(links) => nodes.saturating_mul(links),
        GraphForm::Lans { within, across } => nodes.saturating_mul(within + across) / 2,
        GraphForm::RandomLike { .. } | GraphForm::Edges(_) => 0,
    };
    if links > GRAPH_LINKS_MAX { Err(GraphError::TooManyLinks) } else { Ok(()) }
}

/// The only connected graph in which each node has two neighbours, its nodes in random order.
fn circle(nodes: usize, random: &mut Random) -> Vec<Link> {
    let order = shuffled((0..nodes).collect(), random);
    (0..nodes).map(|at| (order[at], order[(at + 1) % nodes])).collect()
}

/// A random graph of equal degrees: ends are paired at random, and pairs that may not be exchange ends with others. Of a dense graph
/// the missing links are drawn.
fn regular(nodes: usize, degree: usize, random: &mut Random) -> Option<Vec<Link>> {
    if degree > (nodes - 1) / 2 {
        let missing: BTreeSet<Link> = regular(nodes, nodes - 1 - degree, random)?.into_iter().map(ordered).collect();
        let all = (0..nodes).flat_map(|one| (one + 1..nodes).map(move |other| (one, other)));
        return Some(all.filter(|link| !missing.contains(link)).collect());
    }
    let ends = (0..nodes).flat_map(|node| std::iter::repeat_n(node, degree)).collect();
    let (links, left) = pair(ends, &BTreeSet::new(), |_, _| true, random);
    (left == 0).then_some(links)
}

/// The first nodes know each other; each further one links to some before it. Nodes are in random order.
fn power_law(nodes: usize, each: usize, random: &mut Random) -> Vec<Link> {
    let order = shuffled((0..nodes).collect(), random);
    let first = (each + 1).min(nodes);
    let mut links: Vec<Link> = (0..first).flat_map(|one| (one + 1..first).map(move |other| (one, other))).collect();
    for node in first..nodes {
        let mut chosen = BTreeSet::new();
        let drawn_from = links.len();
        while chosen.len() < each {
            // An end of a random link: a node with as great a chance as it has links.
            let (one, other) = links[random.random_range(0..drawn_from as u64) as usize];
            chosen.insert(if random.random_range(0..2_u32) == 0 { one } else { other });
        }
        links.extend(chosen.into_iter().map(|other| (node, other)));
    }
    links.into_iter().map(|(one, other)| (order[one], order[other])).collect()
}

/// A random graph of equal degrees in each network, and one between them. Where ends cannot be paired, some nodes have fewer.
fn lans(networks: &[usize], within: usize, across: usize, random: &mut Random) -> Vec<Link> {
    let mut links = Vec::new();
    for network in networks.iter().copied().collect::<BTreeSet<usize>>() {
        let here: Vec<usize> = (0..networks.len()).filter(|&node| networks[node] == network).collect();
        let mut degree = within.min(here.len().saturating_sub(1));
        // An odd number of ends leaves one over: each node then has one neighbour less.
        degree -= here.len() * degree % 2;
        let inner = match degree {
            0 => Vec::new(),
            2 => circle(here.len(), random),
            _ => (0..DRAWS_MAX).find_map(|_| regular(here.len(), degree, random)).unwrap_or_default(),
        };
        links.extend(inner.into_iter().map(|(one, other)| (here[one], here[other])));
    }
    let ends = (0..networks.len()).flat_map(|node| std::iter::repeat_n(node, across)).collect();
    let taken = links.iter().copied().map(ordered).collect();
    let (outer, _) = pair(ends, &taken, |one, other| networks[one] != networks[other], random);
    links.extend(outer);
    links
}

/// Links between random pairs. What is apart from the largest component is then joined to it, each part by a link that the
/// component can do without.
fn random_links(nodes: usize, count: usize, random: &mut Random) -> Vec<Link> {
    let mut taken = BTreeSet::new();
    let mut links = Vec::with_capacity(count);
    while links.len() < count {
        let (one, other) = (any(nodes, random), any(nodes, random));
        if one != other && taken.insert(ordered((one, other))) {
            links.push((one, other));
        }
    }
    let mut roots: Vec<usize> = (0..nodes).collect();
    // Links beyond a spanning forest: without one of them nothing falls apart.
    let mut spare: Vec<usize> = Vec::new();
    for (at, &(one, other)) in links.iter().enumerate() {
        let (one, other) = (root(&mut roots, one), root(&mut roots, other));
        if one == other { spare.push(at) } else { roots[one] = other }
    }
    let mut spare = shuffled(spare, random);
    let mut sizes = vec![0_usize; nodes];
    (0..nodes).for_each(|node| sizes[root(&mut roots, node)] += 1);
    let largest = (0..nodes).max_by_key(|&node| sizes[node]).unwrap_or(0);
    let members: Vec<Vec<usize>> = (0..nodes).fold(vec![Vec::new(); nodes], |mut members, node| {
        members[root(&mut roots, node)].push(node);
        members
    });
    for part in (0..nodes).filter(|&part| sizes[part] > 0 && part != largest) {
        // Fewer links than it takes are refused before, so there is one to spare for each part.
        let Some(at) = spare.pop() else { break };
        let (inner, outer) = (&members[part], &members[largest]);
        links[at] = (inner[any(inner.len(), random)], outer[any(outer.len(), random)]);
    }
    links
}

/// Pairs ends at random, so that no node is linked to itself, no pair twice, none of `taken` again, and each pair `may` be. Returns
/// the links and how many pairs are left over.
fn pair(
    ends: Vec<usize>,
    taken: &BTreeSet<Link>,
    may: impl Fn(usize, usize) -> bool,
    random: &mut Random,
) -> (Vec<Link>, usize) {
    let ends = shuffled(ends, random);
    let (mut links, mut bad) = (Vec::with_capacity(ends.len() / 2), Vec::new());
    let mut taken = taken.clone();
    let fits =
        |taken: &BTreeSet<Link>, link: Link| link.0 != link.1 && may(link.0, link.1) && !taken.contains(&ordered(link));
    for ends in ends.chunks_exact(2) {
        let link = (ends[0], ends[1]);
        if fits(&taken, link) {
            taken.insert(ordered(link));
            links.push(link);
        } else {
            bad.push(link);
        }
    }
    let mut left = ends.len() % 2;
    while let Some((one, other)) = bad.pop() {
        // Two pairs within one network each become two between them; no exchange with a good pair does that.
        let exchanged = |(third, fourth): Link| ((one, third), (other, fourth));
        let fit = |taken: &BTreeSet<Link>, (first, second): (Link, Link)| {
            fits(taken, first) && fits(taken, second) && ordered(first) != ordered(second)
        };
        if let Some(at) = bad.iter().position(|&link| fit(&taken, exchanged(link))) {
            let (first, second) = exchanged(bad.swap_remove(at));
            taken.extend([ordered(first), ordered(second)]);
            links.extend([first, second]);
            continue;
        }
        let mended = !links.is_empty()
            && (0..EXCHANGES_MAX).any(|_| {
                let at = any(links.len(), random);
                let (first, second) = exchanged(links[at]);
                if !fit(&taken, (first, second)) {
                    return false;
                }
                taken.remove(&ordered(links[at]));
                taken.extend([ordered(first), ordered(second)]);
                links[at] = first;
                links.push(second);
                true
            });
        left += usize::from(!mended);
    }
    (links, left)
}

fn any(count: usize, random: &mut Random) -> usize {
    random.random_range(0..count as u64) as usize
}

fn ordered((one, other): Link) -> Link {
    (one.min(other), one.max(other))
}

fn root(roots: &mut [usize], mut node: usize) -> usize {
    while roots[node] != node {
        roots[node] = roots[roots[node]];
        node = roots[node];
    }
    node
}

/// Fisher and Yates' shuffle.
fn shuffled(mut items: Vec<usize>, random: &mut Random) -> Vec<usize> {
    for last in (1..items.len()).rev() {
        items.swap(last, any(last + 1, random));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::NodeIndex;

    fn drawn(form: GraphForm, networks: &[usize]) -> PrescribedGraph {
        let graph = PrescribedGraph::draw(form.clone(), networks, 5).unwrap();
        assert_eq!(graph, PrescribedGraph::draw(form.clone(), networks, 5).unwrap(), "the seed decides");
        assert_eq!(graph.components(), 1, "{form}");
        for (node, list) in graph.neighbours.iter().enumerate() {
            assert!(!list.contains(&NodeIndex(node)));
            assert!(list.iter().all(|other| graph.neighbours[other.0].contains(&NodeIndex(node))));
        }
        graph
    }

    #[test]
    fn every_node_of_a_regular_graph_has_the_same_degree() {
        for (nodes, degree) in [(2, 1), (5, 4), (8, 3), (9, 2), (9, 6), (100, 8), (1_000, 7), (12, 11)] {
            let graph = drawn(GraphForm::Regular(degree), &vec![0; nodes]);
            assert!(graph.neighbours.iter().all(|list| list.len() == degree), "{nodes} {degree}");
        }
        let of = |seed| PrescribedGraph::draw(GraphForm::Regular(8), &[0; 100], seed).unwrap();
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn a_power_law_has_hubs_and_many_nodes_of_the_least_degree() {
        let graph = drawn(GraphForm::PowerLaw(4), &[0; 2_000]);
        let degrees: Vec<usize> = graph.neighbours.iter().map(Vec::len).collect();
        assert_eq!(graph.links(), 4 * (2_000 - 5) + 10);
        assert_eq!(degrees.iter().min(), Some(&4));
        assert!(degrees.iter().max().unwrap() > &60);
        // P(degree = 4) is 2·4·5 / (4·5·6) = 1/3 of the Barabási-Albert graph.
        let least = degrees.iter().filter(|&&degree| degree == 4).count();
        assert!((580..750).contains(&least), "{least}");
    }

    #[test]
    fn a_random_graph_has_its_links_and_is_one_component() {
        let graph = drawn(GraphForm::Random(2_043), &[0; 1_000]);
        assert_eq!(graph.links(), 2_043);
        // Degrees are Poisson's, but that no node has none.
        let ones = graph.neighbours.iter().filter(|list| list.len() == 1).count();
        assert!((55..125).contains(&ones), "{ones}");
        assert_eq!(drawn(GraphForm::RandomLike { nodes: 100, links: 400 }, &[0; 250]).links(), 1_000);
        assert_eq!(drawn(GraphForm::Random(9), &[0; 10]).links(), 9, "a tree");
        assert_eq!(drawn(GraphForm::Random(45), &[0; 10]).links(), 45, "all pairs");
    }

    #[test]
    fn lans_are_dense_within_and_linked_across() {
        let networks: Vec<usize> = (0..150).map(|node| node / 50).collect();
        let graph = drawn(GraphForm::Lans { within: 6, across: 2 }, &networks);
        for (node, list) in graph.neighbours.iter().enumerate() {
            let within = list.iter().filter(|other| networks[other.0] == networks[node]).count();
            assert_eq!((within, list.len() - within), (6, 2));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let draw = |form, nodes| PrescribedGraph::draw(form, &vec![0; nodes], 1).unwrap_err();
        assert_eq!(draw(GraphForm::Regular(8), 8), GraphError::TooFewNodes { neighbours: 8, nodes: 8 });
        assert_eq!(draw(GraphForm::Regular(3), 9), GraphError::OddEnds { neighbours: 3, nodes: 9 });
        assert!(matches!(draw(GraphForm::Random(8), 10), GraphError::LinksOutOfRange { .. }));
        assert_eq!(draw(GraphForm::Regular(1), 8), GraphError::Apart);
        let lans = GraphForm::Lans { within: 2, across: 0 };
        assert_eq!(PrescribedGraph::draw(lans, &[0, 0, 0, 1, 1, 1], 1), Err(GraphError::Apart));
    }
}
