//! Random numbers from the standard library.

use std::hash::{BuildHasher as _, RandomState};

/// 128 random bits that no other call returns, in this program or another. Not for cryptography.
pub(crate) fn bits() -> u128 {
    // The keys of each `RandomState` come from the system's source of randomness.
    let half = || u128::from(RandomState::new().hash_one(0));
    half() << 64 | half()
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_calls_return_different_bits() {
        assert_ne!(super::bits(), super::bits());
    }
}
