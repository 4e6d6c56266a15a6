//! Durations and sizes as people write them: a number and a unit.

use std::fmt;

use phalanx_core::PublicKey;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

const DURATIONS: [(&str, u64); 4] =
    [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("min", 60_000_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A duration in microseconds, written like "100 ms".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Micros(pub u64);

/// A size in bytes, written like "256 KiB".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub u64);

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn print(value: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let fits =
        units.iter().rev().find(|(_, factor)| value.is_multiple_of(*factor) && value >= *factor);
    let (unit, factor) = fits.or(units.first()).copied().unwrap_or(("", 1));
    write!(f, "{} {unit}", value / factor)
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, &DURATIONS, f)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, &SIZES, f)
    }
}

impl std::str::FromStr for Micros {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, &DURATIONS)
            .map(Self)
            .ok_or("a duration is a number and one of us, ms, s, min: \"100 ms\"")
    }
}

impl std::str::FromStr for Amount {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, &SIZES)
            .map(Self)
            .ok_or("a size is a number and one of B, KiB, MiB, GiB: \"256 KiB\"")
    }
}

struct Text(&'static str);

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text =
            deserializer.deserialize_str(Text("a duration with its unit, like \"100 ms\""))?;
        text.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_str(Text("a size with its unit, like \"256 KiB\""))?;
        text.parse().map_err(D::Error::custom)
    }
}

/// 32 bytes in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hex32(pub(super) [u8; 32]);

impl<'de> Deserialize<'de> for Hex32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_str(Text("64 hexadecimal digits"))?;
        hex32(&text).map(Self).ok_or_else(|| D::Error::custom("it must be 64 hexadecimal digits"))
    }
}

/// The bytes of 64 hexadecimal digits.
fn hex32(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|letter| u8::try_from(letter.to_digit(16)?).ok()).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(bytes)
}

/// The public key that people write as 64 hexadecimal digits.
#[must_use]
pub fn public_key(text: &str) -> Option<PublicKey> {
    hex32(text).map(PublicKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        for value in [0, 1, 999, 1_000, 1_500, 2_000_000, 60_000_000, 90_000_000] {
            assert_eq!(Micros(value).to_string().parse(), Ok(Micros(value)));
        }
        for value in [0, 1, 1_400, 1_024, 1 << 20, 3 << 19] {
            assert_eq!(Amount(value).to_string().parse(), Ok(Amount(value)));
        }
        assert_eq!(Micros(100_000).to_string(), "100 ms");
        assert_eq!(Amount(262_144).to_string(), "256 KiB");
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in ["100", "ms", "1.5 s", "-1 s", "1 h", "99999999999999999999 s", ""] {
            assert!(text.parse::<Micros>().is_err(), "{text}");
        }
        for text in ["100", "1 KB", "1 TiB", "99999999999999 MiB"] {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
    }
}
