//! Values as Python writes them: `repr` of floats and `json.dumps`. DVC's hashes of folder listings
//! and of runs are made over such texts, so they must be equal to the byte. Imports: `base::doc`.

use super::value::Value;

/// Returns a finite float as Python's `repr` does: the shortest digits that read back as the same
/// number, with an exponent from 1e16 on and below 1e-4.
#[must_use]
pub fn float(x: f64) -> String {
    let scientific = shortest(x);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let digits = mantissa.replace('.', "");
    let Ok(whole) = usize::try_from(exponent + 1) else {
        return format!("{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    };
    if whole == 0 {
        return format!("{sign}0.{digits}");
    }
    let digits = format!("{digits:0<whole$}");
    let (whole, fraction) = digits.split_at(whole);
    format!(
        "{sign}{whole}.{}",
        if fraction.is_empty() { "0" } else { fraction }
    )
}

/// Returns the shortest digits that read back as `x`, in scientific form. Where two are equally
/// near, Python takes the even one.
fn shortest(x: f64) -> String {
    let shown = format!("{x:e}");
    let digits = shown
        .split('e')
        .next()
        .map_or(1, |m| m.bytes().filter(u8::is_ascii_digit).count());
    let nearest = format!("{x:.*e}", digits - 1);
    if nearest.parse() == Ok(x) {
        nearest
    } else {
        shown
    }
}

/// The order of keys in a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// As they stand.
    AsTheyStand,
    /// By their characters (`sort_keys=True`).
    Sorted,
}

/// Returns `value` as `json.dumps` writes it: `", "` and `": "` between things, everything beyond
/// ASCII escaped, `NaN` and `Infinity` for what JSON has no words for.
#[must_use]
pub fn json(value: &Value, keys: Keys) -> String {
    let mut out = String::new();
    write_json(value, keys, &mut out);
    out
}

fn write_json(value: &Value, keys: Keys, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(i) => out.push_str(&i.to_string()),
        Value::UInt(u) => out.push_str(&u.to_string()),
        Value::Float(x) if x.is_nan() => out.push_str("NaN"),
        Value::Float(x) if x.is_infinite() => {
            out.push_str(if *x < 0.0 { "-Infinity" } else { "Infinity" });
        }
        Value::Float(x) => out.push_str(&float(*x)),
        Value::Str(text) => write_json_text(text, out),
        Value::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if 0 < i {
                    out.push_str(", ");
                }
                write_json(item, keys, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            if keys == Keys::Sorted {
                // UTF-8 sorts as its characters do.
                entries.sort_by_key(|(key, _)| *key);
            }
            out.push('{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if 0 < i {
                    out.push_str(", ");
                }
                write_json_text(key, out);
                out.push_str(": ");
                write_json(value, keys, out);
            }
            out.push('}');
        }
    }
}

/// Appends `text` as a JSON string, all of it in ASCII.
pub fn write_json_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        for (x, text) in [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.2345678901234567e16, "1.2345678901234568e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e300, "1e+300"),
            (5e-324, "5e-324"),
            (-2.5, "-2.5"),
            (-0.00123, "-0.00123"),
            (225759791040520625.0 / 10000.0, "22575979104052.062"),
            (100.0, "100.0"),
            (1234.5, "1234.5"),
        ] {
            assert_eq!(float(x), text);
        }
    }

    #[test]
    fn json_is_python_json() {
        let value: Value = serde_json::from_str(
            r#"{"b": [1, 2.0, null, true], "a": "é\u007f\ud83d\ude00\"\\\n", "B": {}}"#,
        )
        .unwrap();
        assert_eq!(
            json(&value, Keys::Sorted),
            r#"{"B": {}, "a": "\u00e9\u007f\ud83d\ude00\"\\\n", "b": [1, 2.0, null, true]}"#
        );
        assert_eq!(json(&Value::Float(f64::NAN), Keys::AsTheyStand), "NaN");
    }
}
