//! Keys, as the protocol wants them pressed.

use serde_json::{Value, json};

/// A key with what is held beside it.
pub(super) struct Key {
    name: String,
    code: String,
    number: u32,
    text: Option<String>,
    modifiers: u8,
}

impl Key {
    /// Reads `Enter`, `Shift+Tab`, `Control+k`, `/`; what is not a key's name must be one letter.
    pub(super) fn parse(name: &str) -> Key {
        let mut modifiers = 0;
        let mut rest = name;
        while let Some((modifier, after)) =
            rest.split_once('+').filter(|(_, after)| !after.is_empty())
        {
            modifiers |= match modifier {
                "Alt" => 1,
                "Control" => 2,
                "Meta" => 4,
                "Shift" => 8,
                _ => panic!("`{name}`: no modifier `{modifier}`"),
            };
            rest = after;
        }
        let (number, text) = match rest {
            "Backspace" => (8, None),
            "Tab" => (9, None),
            "Enter" => (13, Some("\r")),
            "Escape" => (27, None),
            "Space" => (32, Some(" ")),
            "PageUp" => (33, None),
            "PageDown" => (34, None),
            "End" => (35, None),
            "Home" => (36, None),
            "ArrowLeft" => (37, None),
            "ArrowUp" => (38, None),
            "ArrowRight" => (39, None),
            "ArrowDown" => (40, None),
            "Delete" => (46, None),
            _ => (0, Some(rest)),
        };
        if number == 0 {
            assert_eq!(rest.chars().count(), 1, "`{name}`: no key `{rest}`");
        }
        let letter = rest.chars().next().filter(|_| number == 0);
        let upper = letter.map(|letter| letter.to_ascii_uppercase());
        Key {
            name: if rest == "Space" { " " } else { rest }.to_owned(),
            code: match upper {
                Some(upper) if upper.is_ascii_alphabetic() => format!("Key{upper}"),
                Some(upper) if upper.is_ascii_digit() => format!("Digit{upper}"),
                Some(_) => String::new(),
                None => rest.to_owned(),
            },
            number: match upper {
                Some(upper) if upper.is_ascii_alphanumeric() => u32::from(upper),
                _ => number,
            },
            // With a modifier but Shift a letter is a command, not text.
            text: text.filter(|_| modifiers & !8 == 0).map(str::to_owned),
            modifiers,
        }
    }

    /// Returns the two events: down and up.
    pub(super) fn events(&self) -> [Value; 2] {
        ["keyDown", "keyUp"].map(|kind| {
            let mut event = json!({
                "type": kind, "key": self.name, "code": self.code, "modifiers": self.modifiers,
                "windowsVirtualKeyCode": self.number,
            });
            match &self.text {
                Some(text) if kind == "keyDown" => event["text"] = json!(text),
                None if kind == "keyDown" => event["type"] = json!("rawKeyDown"),
                _ => {}
            }
            event
        })
    }
}
