//! Numbers in JSON.

use std::io::Write;

/// Parses a number that is all of a text. There is none that is not finite.
pub fn parse(text: &str) -> Option<f64> {
    if !text
        .bytes()
        .all(|c| matches!(c, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
    {
        return None; // "inf" and "nan"
    }
    text.parse().ok().filter(|f: &f64| f.is_finite())
}

/// Appends a number as JavaScript writes it: the fewest digits that stand for it.
/// It reports false for infinity and NaN, which JSON has not.
pub fn append(f: f64, to: &mut Vec<u8>) -> bool {
    if !f.is_finite() {
        return false;
    }
    let size = f.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let from = to.len();
        push(to, format_args!("{:e}", f));
        if let Some(e) = to[from..].iter().position(|&c| c == b'e') {
            if to[from + e + 1] != b'-' {
                to.insert(from + e + 1, b'+');
            }
        }
    } else {
        push(to, format_args!("{}", f));
    }
    true
}

/// Appends what is formatted.
pub fn push(to: &mut Vec<u8>, text: std::fmt::Arguments) {
    // Writing to a Vec can't fail.
    let _ = to.write_fmt(text);
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_as_javascript_writes_them() {
        for (f, want) in [
            (12.5, "12.5"),
            (1500000.0, "1500000"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-7"),
            (0.000001, "0.000001"),
            (0.1 + 0.2, "0.30000000000000004"),
            (-3.0, "-3"),
            (0.0, "0"),
        ] {
            let mut text = Vec::new();
            assert!(super::append(f, &mut text));
            assert_eq!(std::str::from_utf8(&text), Ok(want));
        }
        assert!(!super::append(f64::NAN, &mut Vec::new()));
        assert_eq!(super::parse("1e2"), Some(100.0));
        for text in ["", "inf", "nan", "0x10", "1e999", "1,5", "--1"] {
            assert_eq!(super::parse(text), None, "{}", text);
        }
    }
}
