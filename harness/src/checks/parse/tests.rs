use super::*;
use crate::checks::{FAMILIES, reference};
use crate::plan::{Aggregate, NetworkRange, Selection, Statistic};
use crate::topology::check::NetworkNames;
use crate::topology::fields::Spanned;

fn check(text: &str) -> Result<(Measure, Comparison, f64), String> {
    let name = |name: &str| Spanned { value: name.to_owned(), span: 0..0 };
    let names = [(name("alpha"), None), (name("gamma"), None), (name("home"), Some(3))];
    let networks = NetworkNames::new(names.iter().enumerate().map(|(i, (name, count))| (i, name, *count)));
    parse(text, 1, &Names { networks: &networks, groups: &["a", "upnp"] })
        .map(|check| (check.measure, check.comparison, check.bound))
        .map_err(|fault| {
            assert!(text.is_char_boundary(fault.at.start) && text.is_char_boundary(fault.at.end), "{fault:?}");
            format!("{}|{}|{}", &text[fault.at.clone()], fault.what, fault.help.unwrap_or_default())
        })
}

#[test]
fn every_measure_parses() {
    use Comparison::{Above, AtLeast, AtMost, Equal};
    let main = |family| Measure::new(family, Statistic::Main);
    let of = |family, statistic| Measure::new(family, statistic);
    let networks = |first, count| Some(Selection::Networks(NetworkRange::new(first, count)));
    let group = |name: &str| Some(Selection::Group(name.to_owned()));
    let metric = |name: &str, over| of("metric", Statistic::Metric { name: name.into(), over });
    let (alpha, gamma) = (networks(0, 1), networks(1, 1));
    for (text, measure, comparison, bound) in [
        ("persistence >= 99%", main("persistence"), AtLeast, 0.99),
        ("stored == 100%", main("stored"), Equal, 1.0),
        ("copies<=3.2", main("copies"), AtMost, 3.2),
        ("blocks per node p99/mean <= 3", of("blocks per node", Statistic::Quantile(0.99)), AtMost, 3.0),
        ("blocks per node empty <= 5%", main("blocks per node"), AtMost, 0.05),
        ("retrieval > 9/10", main("retrieval"), Above, 0.9),
        ("retrieval from gamma >= 95%", Measure { from: gamma.clone(), ..main("retrieval") }, AtLeast, 0.95),
        (
            "retrieval  from gamma to alpha >= 95%",
            Measure { from: gamma, to: alpha.clone(), ..main("retrieval") },
            AtLeast,
            0.95,
        ),
        ("retrieval to alpha >= 95%", Measure { to: alpha, ..main("retrieval") }, AtLeast, 0.95),
        ("retrieval to home >= 95%", Measure { to: networks(2, 3), ..main("retrieval") }, AtLeast, 0.95),
        ("retrieval to home-2 >= 95%", Measure { to: networks(3, 1), ..main("retrieval") }, AtLeast, 0.95),
        ("retrieval in every cell >= 99%", of("retrieval", Statistic::WorstPair), AtLeast, 0.99),
        ("retrieval p95 <= 2s", of("retrieval", Statistic::Quantile(0.95)), AtMost, 2.0),
        ("retrieval p99.9 <= 250ms", of("retrieval", Statistic::Quantile(0.999)), AtMost, 0.25),
        ("retrieval messages <= 40", of("retrieval", Statistic::Mean("messages")), AtMost, 40.0),
        ("connected == 100%", main("connected"), Equal, 1.0),
        (
            "direct from a to upnp >= 95%",
            Measure { from: group("a"), to: group("upnp"), ..main("direct") },
            AtLeast,
            0.95,
        ),
        ("connected in every cell >= 99%", of("connected", Statistic::WorstPair), AtLeast, 0.99),
        ("rebind recovered == 100%", main("rebind recovered"), Equal, 1.0),
        ("rebind  recovered p50 <= 5s", of("rebind recovered", Statistic::Quantile(0.5)), AtMost, 5.0),
        ("direct p50 <= 1s", of("direct", Statistic::Quantile(0.5)), AtMost, 1.0),
        ("metric max(butter_known_hosts) <= 64", metric("butter_known_hosts", Aggregate::Max), AtMost, 64.0),
        ("metric sum( butter_stored_bytes ) <= 1KiB", metric("butter_stored_bytes", Aggregate::Sum), AtMost, 1024.0),
        (
            "metric avg(butter_router_dropped_total) <= 1",
            metric("butter_router_dropped_total", Aggregate::Avg),
            AtMost,
            1.0,
        ),
    ] {
        assert_eq!(check(text), Ok((measure, comparison, bound)), "{text}");
    }
}

#[test]
fn error_points_at_the_wrong_words_and_says_what_to_write() {
    for (text, expected) in [
        ("persistense >= 99%", "persistense|unknown measure 'persistense'|did you mean 'persistence'?"),
        ("persistence => 99%", "=>|'=>' compares nothing|compare with >=, >, <=, < or =="),
        (
            "persistence >= 99",
            "99|'99' is no bound for persistence: its '%' is missing|write a share, such as 99% or 9/10",
        ),
        (
            "persistence >= 120%",
            "persistence >= 120%|'persistence >= 120%' can never pass|a share lies between 0% and 100%",
        ),
        (
            "retrieval >= 0%",
            "retrieval >= 0%|'retrieval >= 0%' always passes, so it checks nothing|a share lies between 0% and 100%",
        ),
        ("retrieval from gama >= 9%", "gama|there is no network 'gama'|did you mean 'gamma'?"),
        (
            "retrieval from home-4 >= 9%",
            "home-4|there is no network 'home-4'|the networks of 'home' are home-1 to home-3",
        ),
        ("retrieval from >= 9%", "from|a network is missing after 'from'|such as retrieval from alpha"),
        ("direct from home >= 9%", "home|there is no node group 'home'|node groups: a, upnp"),
        ("connected to >= 9%", "to|a node group is missing after 'to'|such as direct to a"),
        (
            "connected p50 <= 9%",
            "9%|'9%' is no bound for connected p50: invalid character at 1|write a duration, such as 500ms or 2s",
        ),
        (
            "retrieval p95 <= 2",
            "2|'2' is no bound for retrieval p95: its unit is missing|write a duration, such as 500ms or 2s",
        ),
        (
            "metric max(butter_knwon_hosts) <= 64",
            "max(butter_knwon_hosts)|nodes have no metric 'butter_knwon_hosts'|did you mean 'butter_known_hosts'?",
        ),
        (
            "metric max(butter_router_droped_total) <= 1",
            "max(butter_router_droped_total)|routers have no metric 'butter_router_droped_total'|did you mean 'butter_router_dropped_total'?",
        ),
        (
            "metric max(butter_retrieval_seconds) <= 1",
            "max(butter_retrieval_seconds)|'butter_retrieval_seconds' is a histogram and has no single value|compare butter_retrieval_seconds_sum or butter_retrieval_seconds_count",
        ),
        ("linked == 100%", "linked|unknown measure 'linked'|did you mean 'connected'?"),
        ("recovered p50 <= 5s", "recovered|unknown measure 'recovered'|did you mean 'rebind recovered'?"),
        ("rebind >= 1%", "rebind|unknown measure 'rebind'|did you mean 'rebind recovered'?"),
        ("retrieval p0 <= 1s", "p0|there is no quantile 'p0'|expected a quantile above p0 and up to p100, such as p95"),
        (
            "stored in every cell >= 1%",
            "in|'in' has no meaning here|compare the measure here, such as persistence >= 99%",
        ),
        ("copies < 0", "copies < 0|'copies < 0' can never pass|the value is never below 0"),
    ] {
        assert_eq!(check(text).unwrap_err(), expected);
    }
}

#[test]
fn unknown_measure_lists_all_measures() {
    let names: Vec<&str> = FAMILIES.iter().map(|family| family.name()).collect();
    let expected = format!("speed|unknown measure 'speed'|measures: {}", names.join(", "));
    assert_eq!(check("speed >= 1%").unwrap_err(), expected);
}

#[test]
fn odd_texts_are_errors_and_do_not_panic() {
    for text in ["", "<", "é >= é", ">= 1%", "retrieval from", "metric >= 1", "metric max( >= 1", "retrieval p0 <= 1s"]
    {
        assert!(check(text).is_err(), "{text}");
    }
}

#[test]
fn example_of_every_form_parses() {
    let name = |name: &str| Spanned { value: name.to_owned(), span: 0..0 };
    let names = [name("alpha"), name("gamma")];
    let networks = NetworkNames::new(names.iter().enumerate().map(|(i, name)| (i, name, None)));
    for family in FAMILIES {
        for form in family.forms() {
            let check = parse(form.example, 1, &Names { networks: &networks, groups: &["a", "b"] });
            let check = check.unwrap_or_else(|fault| panic!("{}: {}", form.example, fault.what));
            assert_eq!(check.measure.family, family.name());
            assert!(form.syntax.starts_with(family.name()) && form.meaning.ends_with('.'), "{form:?}");
            assert!(reference().contains(form.example));
        }
    }
}
