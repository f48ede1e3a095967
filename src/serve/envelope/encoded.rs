//! Base64, in the forms that clients send. Imports: base64.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Padding may be left out: many clients do.
const BASE64_CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
pub(super) const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, BASE64_CONFIG);
pub(super) const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, BASE64_CONFIG);

/// Returns the bytes of base64 text or of a `data:` URL (RFC 2397) with base64.
pub(in crate::serve) fn base64_bytes(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim();
    let data = match text.strip_prefix("data:") {
        None => text,
        Some(url) => match url.split_once(',') {
            Some((head, data)) if head.ends_with(";base64") => data,
            Some(_) => return Err("the data: URL is not base64".to_owned()),
            None => return Err("the data: URL has no comma".to_owned()),
        },
    };
    let url_safe = data.bytes().any(|b| matches!(b, b'-' | b'_'));
    let engine = if url_safe { &URL_SAFE } else { &STANDARD };
    // MIME wraps lines; so do some clients.
    let data: Cow<'_, str> = if data.bytes().any(|b| b.is_ascii_whitespace()) {
        data.split_ascii_whitespace().collect::<String>().into()
    } else {
        data.into()
    };
    engine
        .decode(data.as_bytes())
        .map_err(|error| format!("not valid base64: {error}"))
}
