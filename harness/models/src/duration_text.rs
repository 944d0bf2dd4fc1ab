//! Durations as text with their unit, such as `40ms`, wherever they are serialized.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

/// Writes `1m 30s`, `40ms`, `0s`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&humantime::format_duration(*duration))
}

/// Reads what [`serialize`] writes.
///
/// # Errors
/// If it is no duration with units, and those of the deserializer.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
    humantime::parse_duration(&text).map_err(|error| de::Error::custom(format!("`{text}` is no duration: {error}")))
}

/// The same for durations that may be absent.
pub mod optional {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Present(#[serde(with = "super")] Duration);

    /// Writes `null` or as [`super::serialize`].
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        duration.map(Present).serialize(to)
    }

    /// Reads what [`serialize`] writes.
    ///
    /// # Errors
    /// Those of [`super::deserialize`].
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Present>::deserialize(from)?.map(|Present(duration)| duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Wait(#[serde(with = "super")] Duration);

    #[test]
    fn durations_are_read_as_they_are_written() {
        for (wait, text) in
            [(Duration::ZERO, "0s"), (Duration::from_micros(40_500), "40ms 500us"), (Duration::from_nanos(1), "1ns")]
        {
            let json = serde_json::to_string(&Wait(wait)).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Wait>(&json).unwrap(), Wait(wait));
        }
        let error = serde_json::from_str::<Wait>("\"40\"").unwrap_err().to_string();
        assert!(error.contains("`40` is no duration"), "{error}");
    }
}
