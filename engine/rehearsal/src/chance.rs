//! Chance with a name: every draw is a hash of the seed and of what it is for, so that one draw more here does not change another
//! there, and the same attempt takes the same time with faults and without.

use std::fmt::Display;

use rebar_ports::Entropy;

/// Chance that follows from a seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 32 bytes for a purpose.
    pub fn bytes(self, purpose: &str, of: &[&dyn Display]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0.to_le_bytes());
        hasher.update(purpose.as_bytes());
        for part in of {
            hasher.update(&[0]);
            hasher.update(part.to_string().as_bytes());
        }
        hasher.finalize().into()
    }

    /// A number for a purpose.
    pub fn number(self, purpose: &str, of: &[&dyn Display]) -> u64 {
        pair(self.bytes(purpose, of)).0
    }

    /// A number in `0..1`, each as likely as the other.
    pub fn unit(self, purpose: &str, of: &[&dyn Display]) -> f64 {
        unit(pair(self.bytes(purpose, of)).0)
    }

    /// A number of the standard normal distribution, by the way of Box and Muller.
    pub fn normal(self, purpose: &str, of: &[&dyn Display]) -> f64 {
        let (left, right) = pair(self.bytes(purpose, of));
        let radius = (-2.0 * (1.0 - unit(left)).ln()).sqrt();
        radius * (std::f64::consts::TAU * unit(right)).cos()
    }
}

/// The engine asks for tokens; here they need not be secret.
impl Entropy for Chance {
    fn bytes(&self) -> [u8; 32] {
        Self::bytes(*self, "token", &[])
    }
}

fn pair(bytes: [u8; 32]) -> (u64, u64) {
    let (mut left, mut right) = ([0; 8], [0; 8]);
    left.copy_from_slice(&bytes[..8]);
    right.copy_from_slice(&bytes[8..16]);
    (u64::from_le_bytes(left), u64::from_le_bytes(right))
}

#[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds")]
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_from_their_name() {
        let chance = Chance::new(7);
        assert_eq!(chance.number("a", &[&1, &2]), chance.number("a", &[&1, &2]));
        assert_ne!(chance.number("a", &[&1, &2]), chance.number("a", &[&12]), "names do not run into each other");
        assert_ne!(chance.number("a", &[&1]), Chance::new(8).number("a", &[&1]));
    }

    #[test]
    fn draws_are_spread_as_they_should_be() {
        let chance = Chance::new(1);
        let mean = |draw: &dyn Fn(u32) -> f64| (0..4_000).map(draw).sum::<f64>() / 4_000.0;
        let units = mean(&|it| chance.unit("u", &[&it]));
        assert!((0.48..0.52).contains(&units), "{units}");
        let normals = mean(&|it| chance.normal("n", &[&it]));
        let squares = mean(&|it| chance.normal("n", &[&it]).powi(2));
        assert!(normals.abs() < 0.06 && (0.93..1.07).contains(&squares), "{normals} {squares}");
    }
}
