//! Incidents: operations that did not happen as planned, and nodes that ended without being asked to.

use super::check::{Activity, Form, MeasureFamily, Measurements};
use super::words::{Fault, Names, Word, nothing_more};
use crate::plan::{Measure, Statistic};
use crate::results::check_result::CheckUnit;

/// Number of incidents.
pub(super) struct Incidents;

impl MeasureFamily for Incidents {
    fn name(&self) -> &'static str {
        "incidents"
    }

    fn forms(&self) -> &'static [Form] {
        &[Form {
            syntax: "incidents",
            example: "incidents == 0",
            meaning: "Number of operations that did not happen as planned, and of nodes that ended without being asked to.",
        }]
    }

    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        nothing_more(Measure::new(self.name(), Statistic::Main), rest)
    }

    fn unit(&self, _: &Measure) -> CheckUnit {
        CheckUnit::Plain
    }

    fn missing(&self, _: &Measure, _: &Activity) -> Option<&'static str> {
        None
    }

    fn evaluate(&self, _: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        Ok(run.tally.incidents.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::evaluate;
    use crate::events::EventKind;
    use crate::metrics::history::MetricHistory;
    use crate::plan::Comparison;
    use crate::results::fixture::{self, check, event};

    #[test]
    fn every_incident_counts() {
        let mut plan = fixture::plan();
        let measure = Measure::new("incidents", Statistic::Main);
        plan.checks = vec![check("incidents == 0", measure, Comparison::Equal, 0.0)];
        let incident = || event(EventKind::Incident { node: None, message: "the router is slow".to_owned() });
        let passed = |events: &[_]| evaluate(&plan, events, &MetricHistory::default())[0].passed;
        assert_eq!([passed(&[]), passed(&[incident()])], [true, false]);
        let two = evaluate(&plan, &[incident(), incident()], &MetricHistory::default());
        assert_eq!(two[0].value, Some(2.0));
    }
}
