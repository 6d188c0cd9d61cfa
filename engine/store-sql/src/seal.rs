//! Encryption of sealed values, pure. XChaCha20-Poly1305 with the name of the value as associated data, so that a value moved to
//! another name does not open. The nonce is a keyed hash over name and value instead of chance: the same value under the same
//! name gives the same bytes, which tells no more than its reference does, and no two different ones share a nonce.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};

const NONCE_BYTES: usize = 24;

/// The key that secrets are sealed with: 32 bytes that nobody can guess, kept outside the database.
#[derive(Clone)]
pub struct SealKey([u8; 32]);

impl SealKey {
    /// A key of given bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What tells this key from any other, and nothing of the key itself.
    pub(crate) fn fingerprint(&self) -> String {
        blake3::Hash::from(blake3::derive_key("rebar.dev/v1 backup fingerprint", &self.0)).to_hex().to_string()
    }

    /// What a backup is sealed with as a whole: who has no key can neither make one nor change one.
    pub(crate) fn backup_hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&blake3::derive_key("rebar.dev/v1 backup seal", &self.0))
    }
}

impl From<[u8; 32]> for SealKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(…)")
    }
}

/// What seals and opens with one key.
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    reference_key: [u8; 32],
    nonce_key: [u8; 32],
}

/// A value that does not open.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DoesNotOpen;

impl Sealer {
    pub(crate) fn new(key: &SealKey) -> Self {
        // One key a purpose; the contexts are part of the stored format.
        let cipher_key = blake3::derive_key("rebar.dev/v1 vault encryption", &key.0);
        Self {
            cipher: XChaCha20Poly1305::new(&cipher_key.into()),
            reference_key: blake3::derive_key("rebar.dev/v1 vault reference", &key.0),
            nonce_key: blake3::derive_key("rebar.dev/v1 vault nonce", &key.0),
        }
    }

    /// The reference of a value: equal for equal values, and without the key as good as random.
    pub(crate) fn reference(&self, value: &[u8]) -> String {
        blake3::keyed_hash(&self.reference_key, value).to_hex().to_string()
    }

    /// Seals a value under a name: nonce and ciphertext. None if it is longer than the cipher allows, 256 GiB.
    pub(crate) fn seal(&self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        let nonce = self.nonce(name, value);
        let payload = Payload { msg: value, aad: name.as_bytes() };
        let ciphertext = self.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some([nonce.as_slice(), &ciphertext].concat())
    }

    /// Opens what was sealed under a name.
    pub(crate) fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(DoesNotOpen)?;
        let payload = Payload { msg: ciphertext, aad: name.as_bytes() };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| DoesNotOpen)
    }

    fn nonce(&self, name: &str, value: &[u8]) -> [u8; NONCE_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.nonce_key);
        // The length keeps name and value apart.
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes()).update(value);
        let mut nonce = [0; NONCE_BYTES];
        hasher.finalize_xof().fill(&mut nonce);
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&SealKey::new([byte; 32]))
    }

    #[test]
    fn what_is_sealed_opens_under_its_name_and_key_alone() {
        let sealed = sealer(1).seal("name/a", b"value").unwrap();
        assert!(!sealed.windows(5).any(|it| it == b"value"));
        assert_eq!(sealer(1).open("name/a", &sealed), Ok(b"value".to_vec()));
        assert_eq!(sealer(1).open("name/b", &sealed), Err(DoesNotOpen));
        assert_eq!(sealer(2).open("name/a", &sealed), Err(DoesNotOpen));
        let mut bent = sealed.clone();
        bent[30] ^= 1;
        assert_eq!(sealer(1).open("name/a", &bent), Err(DoesNotOpen));
        assert_eq!(sealer(1).open("name/a", &sealed[..10]), Err(DoesNotOpen));
    }

    #[test]
    fn references_follow_value_and_key() {
        assert_eq!(sealer(1).reference(b"x"), sealer(1).reference(b"x"));
        assert_ne!(sealer(1).reference(b"x"), sealer(1).reference(b"y"));
        assert_ne!(sealer(1).reference(b"x"), sealer(2).reference(b"x"));
        assert_ne!(sealer(1).nonce("ab", b"c"), sealer(1).nonce("a", b"bc"));
    }
}
