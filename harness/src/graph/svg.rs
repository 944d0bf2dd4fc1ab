//! The drawing as SVG: boxes within boxes, each with its router on its upper edge.
//!
//! | module | subject |
//! | --- | --- |
//! | `layout` | where everything is |

use std::fmt::Write as _;

use super::{GroupKind, TEXT_MAX, TopologyGraph, shortened, shortened_to};

mod layout;

use layout::{BoxPlace, DOOR_HEIGHT, DOT_STEP, DOTS_MAX, GROUP_HEIGHT, HEADER_HEIGHT, PADDING, dots_left, header_top};

/// Blank edge around the drawing.
const MARGIN: f64 = 24.0;
/// Longest description below the title, in characters.
const DESCRIPTION_MAX: usize = 110;
/// Room for the title.
const TITLE_HEIGHT: f64 = 62.0;
/// Room for the legend.
const LEGEND_HEIGHT: f64 = 34.0;

/// Colours are those of a run's page, for bright and for dark surroundings.
const STYLE: &str = "
text { font: 13px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1c2227; }
.paper { fill: #fbfbf9; }
.net { fill: #ffffff; stroke: #cfd5d9; }
.net.even { fill: #f1f3f3; }
.door { fill: #fbfbf9; stroke: #5b6670; }
.wire { fill: none; stroke: #5b6670; stroke-width: 1.5; stroke-linejoin: round; }
.title { font-size: 20px; font-weight: 650; }
.name { font-size: 15px; font-weight: 650; }
.strong { font-weight: 600; font-size: 12px; }
.soft { fill: #5b6670; font-size: 12px; }
.plain { fill: #0072b2; }
.ambassador { fill: #00896a; }
.hostile { fill: #bf4a00; }
.later { fill: none; stroke: #0072b2; stroke-width: 1.6; }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e8ea; }
  .paper { fill: #13171a; }
  .net { fill: #1a1f23; stroke: #3c464e; }
  .net.even { fill: #22282d; }
  .door { fill: #13171a; stroke: #9ba7b0; }
  .wire { stroke: #9ba7b0; }
  .soft { fill: #9ba7b0; }
  .plain { fill: #56a5d8; }
  .later { stroke: #56a5d8; }
  .ambassador { fill: #2fb795; }
  .hostile { fill: #f08a4b; }
}
";

/// The whole document. It needs no font and no network.
pub fn draw(graph: &TopologyGraph) -> String {
    let boxes = layout::arrange(graph);
    let right = boxes.iter().map(|place| place.x + place.width).fold(0.0, f64::max);
    let bottom = boxes.iter().map(|place| place.y + place.height).fold(0.0, f64::max);
    let kinds = kinds(graph);
    let legend_width: f64 = kinds.iter().map(|kind| legend_step(*kind)).sum();
    let title_width = layout::width(&shortened(&graph.name), 12.0)
        .max(layout::width(&shortened_to(&graph.description, DESCRIPTION_MAX), 6.6));
    let width = right.max(legend_width).max(title_width) + 2.0 * MARGIN;
    let height = TITLE_HEIGHT + bottom + LEGEND_HEIGHT + 2.0 * MARGIN;
    let mut page = Drawing { text: String::new() };
    page.line(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">"
    ));
    page.line(&format!("<title>{}</title>", escaped(&graph.name)));
    page.line(&format!("<style>{STYLE}</style>"));
    page.line("<rect class=\"paper\" width=\"100%\" height=\"100%\"/>");
    page.words(MARGIN, MARGIN + 18.0, "title", &graph.name);
    page.words_up_to(DESCRIPTION_MAX, (MARGIN, MARGIN + 40.0), "soft", &graph.description);
    page.line(&format!("<g transform=\"translate({MARGIN:.0} {:.0})\">", MARGIN + TITLE_HEIGHT));
    for (index, place) in boxes.iter().enumerate() {
        page.network(graph, index, place);
    }
    // Above all boxes, so that none hides what leads to its router.
    for outer in 0..boxes.len() {
        page.wires(graph, outer, &boxes);
    }
    for (index, place) in boxes.iter().enumerate() {
        page.door(graph, index, place);
    }
    page.line("</g>");
    page.legend(&kinds, height - MARGIN);
    page.line("</svg>");
    page.text
}

/// The sorts of nodes that there are, each once.
fn kinds(graph: &TopologyGraph) -> Vec<GroupKind> {
    let mut kinds: Vec<GroupKind> =
        graph.networks.iter().flat_map(|network| &network.groups).map(|group| group.kind).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

fn legend_step(kind: GroupKind) -> f64 {
    layout::width(kind.text(), 6.8) + 38.0
}

struct Drawing {
    text: String,
}

impl Drawing {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// One line of text; a long one is cut, and shown whole where the pointer rests.
    fn words(&mut self, x: f64, y: f64, class: &str, words: &str) {
        self.words_up_to(TEXT_MAX, (x, y), class, words);
    }

    fn words_up_to(&mut self, most: usize, (x, y): (f64, f64), class: &str, words: &str) {
        if words.is_empty() {
            return;
        }
        let short = shortened_to(words, most);
        let whole = if short == words { String::new() } else { format!("<title>{}</title>", escaped(words)) };
        self.line(&format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{whole}{}</text>", escaped(&short)));
    }

    fn network(&mut self, graph: &TopologyGraph, index: usize, place: &BoxPlace) {
        let network = &graph.networks[index];
        let shade = if place.depth.is_multiple_of(2) { "net even" } else { "net" };
        // Several alike lie behind each other.
        let layers: &[f64] = if network.count > 1 { &[6.0, 3.0, 0.0] } else { &[0.0] };
        for off in layers {
            self.line(&format!(
                "<rect class=\"{shade}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"10\"/>",
                place.x + off,
                place.y + off,
                place.width,
                place.height
            ));
        }
        let (left, top) = (place.x + PADDING, place.y + header_top(network));
        self.words(left, top + 14.0, "name", &network.title());
        self.words(left, top + 31.0, "soft", &network.facts);
        let dots_at = left + dots_left(network);
        for (at, group) in network.groups.iter().enumerate() {
            let middle = top + HEADER_HEIGHT + (at as f64 + 0.5) * GROUP_HEIGHT;
            self.words(left, middle + 4.5, "group", &group.title());
            let dots = group.count.min(DOTS_MAX);
            for dot in 0..dots {
                self.mark(dots_at + (dot as f64 + 0.5) * DOT_STEP, middle, group.kind);
            }
            let more = (group.count > dots).then(|| format!("and {} more", group.count - dots));
            let remarks: Vec<String> =
                more.into_iter().chain([group.remarks()]).filter(|text| !text.is_empty()).collect();
            self.words(dots_at + dots as f64 * DOT_STEP + 6.0, middle + 4.5, "soft", &remarks.join(", "));
        }
    }

    /// Form and colour say the same.
    fn mark(&mut self, x: f64, y: f64, kind: GroupKind) {
        self.line(&match kind {
            GroupKind::Plain => format!("<circle class=\"plain\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"),
            GroupKind::Later => format!("<circle class=\"later\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.4\"/>"),
            GroupKind::Ambassador => {
                format!("<path class=\"ambassador\" d=\"M{x:.1} {:.1}l5 5l-5 5l-5 -5z\"/>", y - 5.0)
            }
            GroupKind::Hostile => format!("<path class=\"hostile\" d=\"M{x:.1} {:.1}l5 8.5h-10z\"/>", y - 5.0),
        });
    }

    /// From what is in a network to the routers of those behind it.
    fn wires(&mut self, graph: &TopologyGraph, outer: usize, boxes: &[BoxPlace]) {
        let inner: Vec<&BoxPlace> = graph.inner(Some(outer)).map(|inner| &boxes[inner]).collect();
        let Some(last) = inner.last() else { return };
        let spine = boxes[outer].x + PADDING / 2.0;
        let from = boxes[outer].y + header_top(&graph.networks[outer]) + 9.0;
        let bus = |place: &BoxPlace| place.y - DOOR_HEIGHT / 2.0 - 10.0;
        let mut path = format!("M{:.1} {from:.1}H{spine:.1}V{:.1}", spine + 5.0, bus(last));
        for place in inner {
            let down = place.x + PADDING + 14.0;
            let _ = write!(path, "M{spine:.1} {:.1}H{down:.1}v10", bus(place));
        }
        self.line(&format!("<path class=\"wire\" d=\"{path}\"/>"));
    }

    fn door(&mut self, graph: &TopologyGraph, index: usize, place: &BoxPlace) {
        let Some(door) = &graph.networks[index].door else { return };
        let (left, top) = (place.x + PADDING - 4.0, place.y - DOOR_HEIGHT / 2.0);
        self.line(&format!(
            "<rect class=\"door\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{DOOR_HEIGHT:.1}\" rx=\"6\"/>",
            layout::door_width(door)
        ));
        self.words(left + 10.0, top + 15.0, "strong", &door.nat);
        self.words(left + 10.0, top + 30.0, "soft", &door.link);
    }

    fn legend(&mut self, kinds: &[GroupKind], y: f64) {
        let mut x = MARGIN + 6.0;
        for kind in kinds {
            self.mark(x, y - 4.0, *kind);
            self.words(x + 12.0, y, "soft", kind.text());
            x += legend_step(*kind);
        }
    }
}

/// A text in XML, without what XML cannot hold.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::testing::{of_text, shipped};
    use super::*;

    /// The texts of a document that has to be sound.
    fn texts(svg: &str) -> Vec<String> {
        let mut reader = quick_xml::Reader::from_str(svg);
        reader.config_mut().check_end_names = true;
        let (mut texts, mut current) = (Vec::new(), String::new());
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Text(text) => current.push_str(&text.decode().unwrap()),
                quick_xml::events::Event::GeneralRef(name) => {
                    let _ = write!(current, "&{};", name.decode().unwrap());
                }
                quick_xml::events::Event::Eof => return texts,
                _ => texts.push(std::mem::take(&mut current)),
            }
        }
    }

    #[test]
    fn a_drawing_is_sound_and_names_all_that_there_is() {
        for name in ["three-lans", "one-lan", "cgnat", "nat-matrix", "hostile", "dual-stack", "restart"] {
            let graph = shipped(name);
            let texts = texts(&draw(&graph));
            for network in &graph.networks {
                assert!(texts.contains(&network.title()), "{name}: {} is not in {texts:?}", network.title());
                for group in &network.groups {
                    assert!(texts.contains(&group.title()), "{name}: {} is not in {texts:?}", group.title());
                }
            }
        }
    }

    #[test]
    fn texts_of_the_file_stay_texts() {
        let text = "description: '</svg><script>&\"'\nnetworks: {lan: {}}\nnodes: {n: {on: lan}}\nsteps: [settle: {for: 1s}]\n";
        let svg = draw(&of_text(text));
        assert!(texts(&svg).contains(&"&lt;/svg&gt;&lt;script&gt;&amp;&quot;".to_owned()), "{svg}");
        assert!(!svg.contains("<script"));
    }
}
