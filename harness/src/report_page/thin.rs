//! Long series and lists, kept short: what is left out is counted, and what is worst stays.

use serde::Serialize;
use serde_json::Value;

/// A list of which the page has no more than so many entries.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ThinList<T> {
    /// The entries that the page has.
    pub(super) rows: Vec<T>,
    /// How many there were.
    pub(super) of: usize,
}

impl<T> ThinList<T> {
    /// The first entries.
    pub(super) fn first(mut rows: Vec<T>, most: usize) -> Self {
        let of = rows.len();
        rows.truncate(most);
        ThinList { rows, of }
    }

    /// Entries over time: of each of `most` stretches with equally many entries the worst, the first of those that are equally bad. The
    /// last entry stays, as it says how the run ended.
    pub(super) fn worst(rows: Vec<T>, most: usize, badness: impl Fn(&T) -> f64) -> Self {
        let of = rows.len();
        if of <= most {
            return ThinList { rows, of };
        }
        let stretches = most.saturating_sub(1).max(1);
        let mut kept: Vec<Option<(f64, T)>> = (0..stretches).map(|_| None).collect();
        let mut last = None;
        for (at, row) in rows.into_iter().enumerate() {
            if at + 1 == of {
                last = Some(row);
                break;
            }
            let stretch = at * stretches / (of - 1);
            let bad = badness(&row);
            if kept[stretch].as_ref().is_none_or(|(worst, _)| bad > *worst) {
                kept[stretch] = Some((bad, row));
            }
        }
        let rows = kept.into_iter().flatten().map(|(_, row)| row).chain(last).collect();
        ThinList { rows, of }
    }
}

/// A list that was cut, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct CutList {
    /// Keys that lead to the list, with dots between.
    pub(super) list: String,
    /// Entries that are left.
    pub(super) kept: usize,
    /// Entries that there were.
    pub(super) of: usize,
}

/// Longest text in a value that is cut, in bytes.
const TEXT_BYTES_MAX: usize = 2_000;
/// Lengths to which lists are cut, one after the other, until the value is short enough.
const LENGTHS: [usize; 5] = [1_000, 300, 100, 30, 10];

/// Cuts the longest lists of a value until its JSON has no more than so many bytes. Returns which lists are shorter now.
pub(super) fn cut_to(value: &mut Value, bytes_max: usize) -> Vec<CutList> {
    let mut cuts = Vec::new();
    for most in LENGTHS {
        if value.to_string().len() <= bytes_max {
            break;
        }
        cut_lists(value, most, String::new(), &mut cuts);
        cut_texts(value);
    }
    cuts
}

fn cut_lists(value: &mut Value, most: usize, path: String, cuts: &mut Vec<CutList>) {
    match value {
        Value::Array(values) => {
            if values.len() > most {
                match cuts.iter_mut().find(|cut| cut.list == path) {
                    Some(cut) => cut.kept = most,
                    None => cuts.push(CutList { list: path.clone(), kept: most, of: values.len() }),
                }
                values.truncate(most);
            }
            values.iter_mut().for_each(|value| cut_lists(value, most, path.clone(), cuts));
        }
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                cut_lists(value, most, path, cuts);
            }
        }
        _ => {}
    }
}

fn cut_texts(value: &mut Value) {
    match value {
        Value::String(text) => *text = shortened(text, TEXT_BYTES_MAX),
        Value::Array(values) => values.iter_mut().for_each(cut_texts),
        Value::Object(fields) => fields.values_mut().for_each(cut_texts),
        _ => {}
    }
}

/// The text, or its beginning with an ellipsis if it has more bytes than that.
pub(super) fn shortened(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(bytes_max)])
}

/// To three decimals: more would only make the page longer.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thinned_series_keeps_the_worst_of_each_stretch_and_its_end() {
        let badness = |row: &u32| f64::from(*row % 10);
        let thin = ThinList::worst((0..101).collect(), 11, badness);
        assert_eq!(thin.rows, [9, 19, 29, 39, 49, 59, 69, 79, 89, 99, 100]);
        assert_eq!(thin.of, 101);
        assert_eq!(ThinList::worst(vec![3, 1], 2, badness).rows, [3, 1]);
        assert_eq!(ThinList::worst(Vec::new(), 2, badness).rows, [0; 0]);
    }

    #[test]
    fn lists_are_cut_until_the_value_is_short_enough_and_the_cuts_are_named() {
        let mut value = serde_json::json!({"a": {"b": vec!["x".repeat(10); 2_000]}, "c": [1, 2]});
        assert_eq!(cut_to(&mut value.clone(), 100_000), []);
        let cuts = cut_to(&mut value, 1_000);
        assert_eq!(cuts, [CutList { list: "a.b".to_owned(), kept: 30, of: 2_000 }]);
        assert_eq!(value["a"]["b"].as_array().unwrap().len(), 30);
        assert_eq!(value["c"], serde_json::json!([1, 2]));
        assert!(value.to_string().len() <= 1_000);
    }

    #[test]
    fn a_text_is_cut_between_letters() {
        assert_eq!(shortened("äöü", 3), "ä…");
        assert_eq!(shortened("äöü", 6), "äöü");
    }
}
