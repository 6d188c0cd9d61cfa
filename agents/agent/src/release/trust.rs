//! The release keys that this machine trusts. They come with its enrolment, or from whoever may write to the state; no engine can
//! change them.

use crate::{
    disk::{durable, layout::State},
    error::Error,
};

/// A public Ed25519 key.
pub type Key = [u8; 32];

/// The keys; none where nobody gave any.
pub fn keys(state: &State) -> Result<Vec<Key>, Error> {
    let path = state.release_keys();
    let Some(bytes) = durable::read(&path)? else { return Ok(Vec::new()) };
    let lines = String::from_utf8_lossy(&bytes).into_owned();
    let broken = |reason| Error::Broken { path: path.clone(), reason };
    lines.lines().filter(|it| !it.trim().is_empty()).map(|it| parse(it.trim()).map_err(broken)).collect()
}

/// Trusts these keys, and no others any more.
pub fn pin(state: &State, keys: &[String]) -> Result<(), Error> {
    let mut text = String::new();
    for key in keys {
        parse(key).map_err(Error::Usage)?;
        text.push_str(key);
        text.push('\n');
    }
    durable::write(&state.release_keys(), text.as_bytes())
}

/// A key as it is written.
pub fn parse(text: &str) -> Result<Key, String> {
    let mut key = [0; 32];
    let wrong =
        |_| format!("`{}` is not a release key of 64 hexadecimal digits", text.chars().take(80).collect::<String>());
    hex::decode_to_slice(text, &mut key).map_err(wrong)?;
    Ok(key)
}
