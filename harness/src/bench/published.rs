//! Figures that others have published, measured anew with this project's own search strategies, membership and inventories:
//! `harness bench published`.
//!
//! Each study says what it expects, within which bound, and why a figure differs where it does by design.
//!
//! | file | study |
//! | --- | --- |
//! | [`searches`] | Lv, Cao, Cohen, Li, Shenker: "Search and replication in unstructured peer-to-peer networks", ICS 2002 |
//! | [`membership`] | Leitão, Pereira, Rodrigues: "HyParView", DSN 2007 |
//! | [`mod@matches`] | Terpstra, Kangasharju, Leng, Buchmann: "BubbleStorm", SIGCOMM 2007 |

use std::fmt;

pub mod matches;
pub mod membership;
pub mod searches;

/// What one study has come to.
#[derive(Clone, Debug)]
pub struct PublishedStudy {
    /// What was measured, and of what size.
    pub title: String,
    /// Every figure, in the order in which they are shown.
    pub figures: Vec<PublishedFigure>,
}

/// A figure, as it was published and as it is measured here.
#[derive(Clone, Debug)]
pub struct PublishedFigure {
    /// What it is of.
    pub name: String,
    /// The published or predicted value.
    pub published: f64,
    /// The value measured here.
    pub measured: f64,
    /// What is required of it.
    pub bound: FigureBound,
    /// Why it differs by design; may be empty.
    pub remark: &'static str,
}

/// What is required of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FigureBound {
    /// It differs by at most this part of the published value.
    Part(f64),
    /// It differs by at most so much.
    Difference(f64),
    /// It is at most the published value.
    AtMost,
    /// It is at least the published value.
    AtLeast,
    /// Nothing: it is shown for comparison.
    Shown,
}

impl PublishedFigure {
    fn new(name: impl Into<String>, published: f64, measured: f64, bound: FigureBound) -> Self {
        PublishedFigure { name: name.into(), published, measured, bound, remark: "" }
    }

    fn because(self, remark: &'static str) -> Self {
        PublishedFigure { remark, ..self }
    }

    /// Whether it is as required. What was not measured is not.
    pub fn holds(&self) -> bool {
        let (published, measured) = (self.published, self.measured);
        match self.bound {
            FigureBound::Part(part) => (measured - published).abs() <= part * published,
            FigureBound::Difference(most) => (measured - published).abs() <= most,
            FigureBound::AtMost => measured <= published,
            FigureBound::AtLeast => measured >= published,
            FigureBound::Shown => true,
        }
    }
}

impl PublishedStudy {
    /// Whether every figure is as required.
    pub fn holds(&self) -> bool {
        self.figures.iter().all(PublishedFigure::holds)
    }
}

impl fmt::Display for FigureBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            FigureBound::Part(part) => format!("±{:.0} %", 100.0 * part),
            FigureBound::Difference(most) => format!("±{most}"),
            FigureBound::AtMost => "at most".to_owned(),
            FigureBound::AtLeast => "at least".to_owned(),
            FigureBound::Shown => "shown".to_owned(),
        };
        f.pad(&text)
    }
}

impl fmt::Display for PublishedStudy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {:<44} {:>10} {:>10}  {:<9}", self.title, "", "published", "measured", "bound")?;
        for figure in &self.figures {
            let PublishedFigure { name, published, measured, bound, remark } = figure;
            let verdict = match bound {
                FigureBound::Shown => "",
                _ if figure.holds() => "holds",
                _ => "MISSED",
            };
            write!(f, "\n  {name:<44} {:>10} {:>10}  {bound:<9} {verdict:<6}", number(*published), number(*measured))?;
            if !remark.is_empty() {
                write!(f, "  {remark}")?;
            }
        }
        Ok(())
    }
}

/// Three or four digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_holds_within_its_bound() {
        let of = |bound, measured| PublishedFigure::new("x", 4.0, measured, bound).holds();
        assert!(of(FigureBound::Part(0.1), 4.39) && !of(FigureBound::Part(0.1), 4.5));
        assert!(of(FigureBound::Difference(0.1), 3.91) && !of(FigureBound::Difference(0.1), 3.8));
        assert!(of(FigureBound::AtMost, 4.0) && !of(FigureBound::AtMost, 4.1));
        assert!(of(FigureBound::AtLeast, 4.0) && !of(FigureBound::AtLeast, 3.9));
        assert!(of(FigureBound::Shown, 9.0));
        assert!(!of(FigureBound::Part(0.5), f64::NAN), "what was not measured does not hold");
    }
}
