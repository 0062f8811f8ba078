//! The records of a pax header: `length key=value\n`, with the length in decimal digits and including itself.

use crate::files::error::{FileError, Result};

/// Prefix of records with extended attributes.
pub const XATTR: &[u8] = b"SCHILY.xattr.";
/// Most bytes of a header's records.
pub const LIMIT: usize = 64 * 1024;

/// Adds a record.
pub fn push(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    // The length has so many digits that it is right with them.
    let mut length = rest;
    while length != rest + digits(length) {
        length = rest + digits(length);
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |digits| digits as usize + 1)
}

/// Calls `take` with key and value of each record.
pub fn parse(mut records: &[u8], mut take: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    let broken = || FileError::Invalid("the archive has a broken pax header".to_owned());
    while !records.is_empty() && records.iter().any(|byte| *byte != 0) {
        let space = records.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length = decimal(records.get(..space).unwrap_or_default()).ok_or_else(broken)?;
        let length = usize::try_from(length).map_err(|_| broken())?;
        let record = records.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(broken)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        let (key, value) = record.split_at(equals);
        take(key, value.get(1..).unwrap_or_default())?;
        records = records.get(length..).unwrap_or_default();
    }
    Ok(())
}

/// A decimal number of at most 20 digits.
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Seconds and nanoseconds as pax writes them. The nanoseconds count forward, also before 1970.
pub fn format_time(seconds: i64, nanoseconds: u32) -> String {
    match (seconds, nanoseconds) {
        (_, 0) => seconds.to_string(),
        (0.., _) => format!("{seconds}.{nanoseconds:09}"),
        // -1 s and 0.25 s forward is -0.75.
        _ => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds),
    }
}

/// Reads what [`format_time`] writes, with any number of digits after the point.
pub fn parse_time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |text| (true, text));
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let seconds = i64::try_from(decimal(text.get(..point)?)?).ok()?;
    let fraction = text.get(point + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nine = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = nine.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    match (negative, nanoseconds) {
        (false, _) => Some((seconds, nanoseconds)),
        (true, 0) => Some((-seconds, 0)),
        (true, _) => Some((-seconds - 1, 1_000_000_000 - nanoseconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_its_own_length() {
        for value in [0, 1, 5, 6, 7, 91, 92, 93, 94, 990, 991, 9_989] {
            let mut records = Vec::new();
            push(&mut records, b"k", &vec![b'x'; value]);
            let mut read = 0;
            parse(&records, |key, value| {
                assert_eq!(key, b"k");
                read = value.len();
                Ok(())
            })
            .unwrap();
            assert_eq!(read, value);
        }
    }

    #[test]
    fn a_time_survives_its_text_also_before_1970() {
        for time in [(0, 0), (5, 1), (-1, 250_000_000), (-2, 0), (1 << 40, 999_999_999), (-1, 999_999_999)] {
            assert_eq!(parse_time(format_time(time.0, time.1).as_bytes()), Some(time));
        }
        assert_eq!(parse_time(b"1.5"), Some((1, 500_000_000)));
        for bad in ["", "-", "x", "1.x", "1e3", "99999999999999999999"] {
            assert_eq!(parse_time(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn broken_records_are_refused() {
        for bad in ["5", "0 a=b\n", "99 a=b\n", "6 a=b\nx", "5 ab\n", "x a=b\n", "3 a", "99999999999999999999 a=b\n"] {
            assert!(parse(bad.as_bytes(), |_, _| Ok(())).is_err(), "{bad:?}");
        }
    }
}
