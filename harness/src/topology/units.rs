//! Quantities as they are written in a topology: always with their unit.

use std::fmt;
use std::time::Duration;

/// A quantity that a topology can hold.
pub trait Unit: Sized {
    /// What it is, with article: `a duration`.
    const WHAT: &'static str;
    /// One of the right form.
    const EXAMPLE: &'static str;
    /// Matches all of the right form, as ECMA 262 has it; it may match more.
    const PATTERN: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// With what is wrong, to follow "this is no …: ".
    fn parse(text: &str) -> Result<Self, String>;
}

/// A length of time: `40ms`, `1.5s`, `2h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

/// Longest time that a topology can name.
pub const TIME_MAX: Duration = Duration::from_secs(7 * 86_400);

/// An amount of bytes: `32KiB`, `1MB`, `256B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Two sizes, or one twice: `1KiB..32KiB`. Both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The smallest, in bytes.
    pub least: u64,
    /// The greatest, in bytes.
    pub most: u64,
}

/// Bits per second: `50mbit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u64);

/// A part of a whole, 0..1: `0.5%`, `1/50`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(pub f64);

/// A chance in each second, 0..1: `1/50/s`, `2%/s`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct ChancePerSecond(pub f64);

/// How often something happens, per second: above 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Frequency(pub f64);

impl Frequency {
    /// The greatest one.
    const MOST: f64 = 100_000.0;
}

/// How much more frequent the first of many things is than the others: of two in ranks 1 and k, k to this power.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct ZipfExponent(pub f64);

/// A parameter of a distribution that decides its form, above 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct ShapeParameter(pub f64);

impl ShapeParameter {
    /// The greatest one.
    pub(crate) const MOST: u64 = 20;
    /// The least one: below, times of many magnitudes come from one distribution.
    const LEAST: f64 = 0.1;
}

impl ZipfExponent {
    /// The greatest one.
    pub(crate) const MOST: u64 = 4;
}

impl Unit for Time {
    const WHAT: &'static str = "a duration";
    const EXAMPLE: &'static str = "500ms, 30s or 2min";
    const PATTERN: &'static str = r"^(0|([0-9]+ *[A-Za-zµ]+ *)+|[0-9.]+ *[A-Za-zµ]+.*)$";

    fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('-') {
            return Err("it is negative".into());
        }
        if is_plain_number(text) && text != "0" {
            return Err("its unit is missing".into());
        }
        let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
        if time > TIME_MAX { Err("the longest is 7days".into()) } else { Ok(Time(time)) }
    }
}

impl Unit for Size {
    const WHAT: &'static str = "a size";
    const EXAMPLE: &'static str = "256B, 32KiB or 1MB";
    const PATTERN: &'static str = r"^[0-9][0-9.]* *[A-Za-z]+$";

    fn parse(text: &str) -> Result<Self, String> {
        if is_plain_number(text) {
            return Err("its unit is missing".into());
        }
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("it does not begin with a number".into());
        }
        text.parse::<bytesize::ByteSize>().map(|size| Size(size.as_u64()))
    }
}

impl Unit for Sizes {
    const WHAT: &'static str = "a size or a range of sizes";
    const EXAMPLE: &'static str = "4KiB or 1KiB..32KiB";
    const PATTERN: &'static str = r"^[0-9][0-9.]* *[A-Za-z]+( *\.\. *[0-9][0-9.]* *[A-Za-z]+)?$";

    fn parse(text: &str) -> Result<Self, String> {
        let Some((least, most)) = text.split_once("..") else {
            return Size::parse(text).map(|Size(size)| Sizes { least: size, most: size });
        };
        let end = |text: &str| Size::parse(text.trim()).map_err(|why| format!("'{}': {why}", text.trim()));
        let (Size(least), Size(most)) = (end(least)?, end(most)?);
        if least > most { Err("it begins above its end".into()) } else { Ok(Sizes { least, most }) }
    }
}

impl Unit for Rate {
    const WHAT: &'static str = "a rate";
    const EXAMPLE: &'static str = "512kbit, 50mbit or 1gbit";
    const PATTERN: &'static str = r"^[0-9.]+ *([kKmMgG]?[bB][iI][tT])(/s)*$";

    fn parse(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let scale = match unit.trim().trim_end_matches("/s").to_ascii_lowercase().as_str() {
            "" => return Err("its unit is missing".into()),
            "bit" => 1.0,
            "kbit" => 1e3,
            "mbit" => 1e6,
            "gbit" => 1e9,
            _ => return Err("units are bit, kbit, mbit and gbit, per second".into()),
        };
        let number: f64 = number.parse().map_err(|_| "it does not begin with a number".to_owned())?;
        let bits = number * scale;
        if (1_000.0..=1e12).contains(&bits) {
            Ok(Rate(bits.round() as u64))
        } else {
            Err("rates go from 1kbit to 1000gbit".into())
        }
    }
}

impl Unit for Share {
    const WHAT: &'static str = "a share";
    const EXAMPLE: &'static str = "0.5% or 1/200";
    const PATTERN: &'static str = r"^(0|[0-9.]+ *%|[0-9.]+ */ *[0-9.]+)$";

    fn parse(text: &str) -> Result<Self, String> {
        let share = any_share(text)?;
        if share <= 1.0 { Ok(Share(share)) } else { Err("it is more than the whole".into()) }
    }
}

impl Unit for ZipfExponent {
    const WHAT: &'static str = "the exponent of a Zipf distribution";
    const EXAMPLE: &'static str = "1.0, or 0 if all are alike";
    const PATTERN: &'static str = r"^[0-9]+(\.[0-9]*)?$";

    fn parse(text: &str) -> Result<Self, String> {
        let exponent: f64 = text.parse().ok().filter(|_| is_plain_number(text)).ok_or("it is not a number")?;
        if exponent <= Self::MOST as f64 {
            Ok(ZipfExponent(exponent))
        } else {
            Err(format!("it is more than {}", Self::MOST))
        }
    }
}

impl Unit for ShapeParameter {
    const WHAT: &'static str = "a parameter of a distribution";
    const EXAMPLE: &'static str = "0.6";
    const PATTERN: &'static str = r"^[0-9]+(\.[0-9]*)?$";

    fn parse(text: &str) -> Result<Self, String> {
        let shape: f64 = text.parse().ok().filter(|_| is_plain_number(text)).ok_or("it is not a number")?;
        if (Self::LEAST..=Self::MOST as f64).contains(&shape) {
            Ok(ShapeParameter(shape))
        } else {
            Err(format!("it goes from {} to {}", Self::LEAST, Self::MOST))
        }
    }
}

impl Unit for ChancePerSecond {
    const WHAT: &'static str = "a chance per second";
    const EXAMPLE: &'static str = "1/50/s or 2%/s";
    const PATTERN: &'static str = r"^(0|[0-9.]+ *%|[0-9.]+ */ *[0-9.]+) */s$";

    fn parse(text: &str) -> Result<Self, String> {
        let Some(share) = text.strip_suffix("/s") else {
            return Err("its '/s' is missing".into());
        };
        Share::parse(share.trim()).map(|Share(share)| ChancePerSecond(share))
    }
}

impl Unit for Frequency {
    const WHAT: &'static str = "a number per second";
    const EXAMPLE: &'static str = "20/s or 0.5/s";
    const PATTERN: &'static str = r"^[0-9.]+ */s$";

    fn parse(text: &str) -> Result<Self, String> {
        let Some(number) = text.strip_suffix("/s").map(str::trim) else {
            return Err("its '/s' is missing".into());
        };
        match number.parse() {
            Ok(rate) if is_plain_number(number) && rate > 0.0 && rate <= Self::MOST => Ok(Frequency(rate)),
            _ => Err(format!("numbers go from above 0 to {}", Self::MOST)),
        }
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// A share that may be more than the whole, such as the bound of a check.
pub(crate) fn any_share(text: &str) -> Result<f64, String> {
    let number = |text: &str| {
        let valid = is_plain_number(text.trim());
        let parsed: Option<f64> = text.trim().parse().ok();
        parsed.filter(|_| valid).ok_or_else(|| format!("'{}' is no number", text.trim()))
    };
    if let Some(percent) = text.strip_suffix('%') {
        return number(percent).map(|_| hundredth(percent.trim()));
    }
    if let Some((part, whole)) = text.split_once('/') {
        let (part, whole) = (number(part)?, number(whole)?);
        return if whole > 0.0 { Ok(part / whole) } else { Err("it divides by nothing".into()) };
    }
    if number(text)? == 0.0 { Ok(0.0) } else { Err("its '%' is missing".into()) }
}

/// A hundredth of a plain number, as near as a float can be: 99.9 / 100.0 is above 999.0 / 1000.0.
pub(crate) fn hundredth(number: &str) -> f64 {
    format!("{number}e-2").parse().expect("a plain number takes an exponent")
}

/// Digits with at most one point, short enough to be finite.
pub(crate) fn is_plain_number(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 20
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && text.parse::<f64>().is_ok()
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = humantime::format_duration(self.0).to_string();
        f.write_str(&short.replace(' ', ""))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0B"),
            n if n % (1 << 30) == 0 => write!(f, "{}GiB", n >> 30),
            n if n % (1 << 20) == 0 => write!(f, "{}MiB", n >> 20),
            n if n % (1 << 10) == 0 => write!(f, "{}KiB", n >> 10),
            n => write!(f, "{n}B"),
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            return Size(self.least).fmt(f);
        }
        write!(f, "{}..{}", Size(self.least), Size(self.most))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n % 1_000_000_000 == 0 => write!(f, "{}gbit", n / 1_000_000_000),
            n if n % 1_000_000 == 0 => write!(f, "{}mbit", n / 1_000_000),
            n if n % 1_000 == 0 => write!(f, "{}kbit", n / 1_000),
            n => write!(f, "{n}bit"),
        }
    }
}

impl fmt::Display for Share {
    /// As a percentage with at most four decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.4}", self.0 * 100.0);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Unit + fmt::Debug>(good: &[(&str, &str)], bad: &[&str]) {
        for (text, expected) in good {
            assert_eq!(format!("{:?}", T::parse(text).unwrap()), *expected, "{text}");
        }
        for text in bad {
            assert!(T::parse(text).is_err(), "{text} was taken as {:?}", T::parse(text));
        }
    }

    #[test]
    fn durations() {
        check::<Time>(
            &[("40ms", "Time(40ms)"), ("1.5s", "Time(1.5s)"), ("2min", "Time(120s)"), ("0", "Time(0ns)")],
            &["", "40", "-1s", "1 parsec", "8days", "ms"],
        );
    }

    #[test]
    fn sizes() {
        check::<Size>(
            &[("256B", "Size(256)"), ("1KiB", "Size(1024)"), ("1KB", "Size(1000)")],
            &["", "64", "KiB", "1Kbit"],
        );
        check::<Sizes>(
            &[("1KiB..32KiB", "Sizes { least: 1024, most: 32768 }"), ("5B", "Sizes { least: 5, most: 5 }")],
            &["32KiB..1KiB", "1..2KiB", "..", "1KiB.."],
        );
    }

    #[test]
    fn rates() {
        check::<Rate>(
            &[("50mbit", "Rate(50000000)"), ("1.5Mbit/s", "Rate(1500000)"), ("1gbit", "Rate(1000000000)")],
            &["50", "mbit", "50mb", "0mbit", "1..2mbit", "99999999gbit"],
        );
    }

    #[test]
    fn shares() {
        check::<Share>(
            &[
                ("99.9%", "Share(0.999)"),
                ("5.%", "Share(0.05)"),
                ("1/50", "Share(0.02)"),
                ("0", "Share(0.0)"),
                ("100%", "Share(1.0)"),
            ],
            &["", "0.5", "120%", "3/2", "1/0", "-1%", "nan%", "inf%", "1/2/3", "1e-3%"],
        );
        check::<ChancePerSecond>(
            &[("1/50/s", "ChancePerSecond(0.02)"), ("2%/s", "ChancePerSecond(0.02)")],
            &["1/50", "2%", "0.02/s", "/s"],
        );
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        assert_eq!(Time(Duration::from_millis(90_500)).to_string(), "1m30s500ms");
        assert_eq!(Sizes { least: 1 << 10, most: 32 << 10 }.to_string(), "1KiB..32KiB");
        assert_eq!(Rate(50_000_000).to_string(), "50mbit");
        assert_eq!(Share(0.005).to_string(), "0.5%");
    }
}
