//! Where everything of the drawing is: networks behind another one stand in rows inside its box.
//!
//! Widths of texts are estimates, as no font is at hand; they are generous, so that nothing is cut.

use crate::graph::{GraphDoor, GraphNetwork, TopologyGraph, shortened};

/// Between the edge of a box and what is in it.
pub(super) const PADDING: f64 = 20.0;
/// Height of a router, half of which is above its box.
pub(super) const DOOR_HEIGHT: f64 = 38.0;
/// Height of a network's name with the facts below.
pub(super) const HEADER_HEIGHT: f64 = 40.0;
/// Height of the line of a node group.
pub(super) const GROUP_HEIGHT: f64 = 21.0;
/// Most dots of a node group; the rest is counted.
pub(super) const DOTS_MAX: usize = 16;
/// From dot to dot.
pub(super) const DOT_STEP: f64 = 12.0;

/// Between boxes side by side.
const GAP: f64 = 22.0;
/// Above a row of boxes: half a router, what leads to it, and air.
const ROW_GAP: f64 = DOOR_HEIGHT / 2.0 + 26.0;
/// How much wider than high a group of boxes should become.
const ASPECT: f64 = 1.9;
/// Boxes stand side by side up to this width, however few they are.
const ROW_MIN: f64 = 820.0;
/// Least width of a box.
const WIDTH_MIN: f64 = 170.0;

/// The box of a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct BoxPlace {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    /// How many networks it is behind.
    pub(super) depth: usize,
}

/// A network's box by its size, with the rows of boxes inside.
#[derive(Clone, Debug, Default)]
struct BoxSize {
    width: f64,
    height: f64,
    rows: Vec<BoxRow>,
}

#[derive(Clone, Debug, Default)]
struct BoxRow {
    boxes: Vec<usize>,
    /// Without what is left over.
    width: f64,
    height: f64,
}

/// The box of every network, in the order of the graph.
pub(super) fn arrange(graph: &TopologyGraph) -> Vec<BoxPlace> {
    let mut sizes = vec![BoxSize::default(); graph.networks.len()];
    // One that others are behind comes before them: from the end, what is inside is measured first.
    for index in (0..graph.networks.len()).rev() {
        sizes[index] = measured(graph, index, &sizes);
    }
    let mut places = vec![BoxPlace::default(); graph.networks.len()];
    let roots: Vec<usize> = graph.inner(None).collect();
    let mut y = 0.0;
    for index in roots {
        places[index] = BoxPlace { x: 0.0, y, width: sizes[index].width, height: sizes[index].height, depth: 0 };
        y += sizes[index].height + GAP;
    }
    for index in 0..graph.networks.len() {
        let outer = places[index].clone();
        place_rows(&outer, &graph.networks[index], &sizes[index], &sizes, &mut places);
    }
    places
}

fn measured(graph: &TopologyGraph, index: usize, sizes: &[BoxSize]) -> BoxSize {
    let network = &graph.networks[index];
    let rows = rows(&graph.inner(Some(index)).collect::<Vec<_>>(), sizes);
    let rows_width = rows.iter().map(|row| row.width).fold(0.0, f64::max);
    let rows_height: f64 = rows.iter().map(|row| row.height + ROW_GAP).sum();
    BoxSize {
        width: own_width(network).max(rows_width + 2.0 * PADDING),
        height: own_height(network) + rows_height + PADDING,
        rows,
    }
}

/// Boxes in rows, so that all together are somewhat wider than high.
fn rows(inner: &[usize], sizes: &[BoxSize]) -> Vec<BoxRow> {
    let area: f64 = inner.iter().map(|&index| (sizes[index].width + GAP) * (sizes[index].height + ROW_GAP)).sum();
    let wanted = (area * ASPECT).sqrt().max(ROW_MIN);
    let mut rows: Vec<BoxRow> = Vec::new();
    for &index in inner {
        let size = &sizes[index];
        match rows.last_mut() {
            Some(row) if row.width + GAP + size.width <= wanted => {
                row.boxes.push(index);
                row.width += GAP + size.width;
                row.height = row.height.max(size.height);
            }
            _ => rows.push(BoxRow { boxes: vec![index], width: size.width, height: size.height }),
        }
    }
    rows
}

/// Boxes of a row are of one height and fill its width.
fn place_rows(outer: &BoxPlace, network: &GraphNetwork, size: &BoxSize, sizes: &[BoxSize], places: &mut [BoxPlace]) {
    let mut y = outer.y + own_height(network);
    for row in &size.rows {
        y += ROW_GAP;
        let more = (outer.width - 2.0 * PADDING - row.width) / row.boxes.len() as f64;
        let mut x = outer.x + PADDING;
        for &index in &row.boxes {
            let width = sizes[index].width + more;
            places[index] = BoxPlace { x, y, width, height: row.height, depth: outer.depth + 1 };
            x += width + GAP;
        }
        y += row.height;
    }
}

/// From the top of a box to its network's name.
pub(super) fn header_top(network: &GraphNetwork) -> f64 {
    if network.door.is_some() { DOOR_HEIGHT / 2.0 + 8.0 } else { PADDING * 0.7 }
}

/// From the left of a group's name to its dots.
pub(super) fn dots_left(network: &GraphNetwork) -> f64 {
    network.groups.iter().map(|group| width(&shortened(&group.title()), 7.6)).fold(0.0, f64::max) + 8.0
}

/// Width of a router.
pub(super) fn door_width(door: &GraphDoor) -> f64 {
    width(&shortened(&door.nat), 7.8).max(width(&shortened(&door.link), 6.8)) + 20.0
}

/// The width of a text, by the mean width of its letters.
pub(super) fn width(text: &str, letter: f64) -> f64 {
    // Letters beyond Latin and its neighbours may be twice as wide.
    text.chars().map(|c| if u32::from(c) < 0x1100 { letter } else { 2.0 * letter }).sum()
}

/// Without what is in the networks behind it.
fn own_width(network: &GraphNetwork) -> f64 {
    let header = width(&shortened(&network.title()), 9.0).max(width(&shortened(&network.facts), 6.8));
    let groups = network.groups.iter().map(|group| {
        let more = if group.count > DOTS_MAX { 90.0 } else { 0.0 };
        let dots = group.count.min(DOTS_MAX) as f64 * DOT_STEP;
        dots_left(network) + dots + more + width(&shortened(&group.remarks()), 6.8) + 10.0
    });
    let door = network.door.as_ref().map_or(0.0, door_width);
    groups.fold(header, f64::max).max(door).max(WIDTH_MIN) + 2.0 * PADDING
}

fn own_height(network: &GraphNetwork) -> f64 {
    header_top(network) + HEADER_HEIGHT + network.groups.len() as f64 * GROUP_HEIGHT
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::shipped;
    use super::*;

    fn apart(a: &BoxPlace, b: &BoxPlace) -> bool {
        a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y
    }

    #[test]
    fn boxes_lie_within_their_outer_one_and_beside_each_other() {
        for name in ["three-lans", "cgnat", "nat-matrix", "dual-stack", "outage", "agreement/double-nat"] {
            let graph = shipped(name);
            let places = arrange(&graph);
            for (index, network) in graph.networks.iter().enumerate() {
                let Some(door) = &network.door else { continue };
                let (inner, outer) = (&places[index], &places[door.behind]);
                let floor = outer.y + own_height(&graph.networks[door.behind]);
                assert!(inner.y - DOOR_HEIGHT / 2.0 >= floor, "{name}: {inner:?} hides what is in {outer:?}");
                assert!(
                    inner.x >= outer.x && inner.x + inner.width <= outer.x + outer.width + 0.01,
                    "{name}: {inner:?}"
                );
                assert!(inner.y + inner.height <= outer.y + outer.height, "{name}: {inner:?} in {outer:?}");
                assert!(inner.width - 2.0 * PADDING + 4.0 >= door_width(door), "{name}: {door:?}");
                for other in graph.inner(Some(door.behind)).filter(|&other| other != index) {
                    assert!(apart(inner, &places[other]), "{name}: {inner:?} and {:?}", places[other]);
                }
            }
        }
    }
}
