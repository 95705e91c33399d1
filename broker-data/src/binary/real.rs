//! Real numbers on the wire.
//!
//! Normal numbers and zeros are plain IEEE-754 bits. The rest is particular to the protocol: the
//! infinities have their signs swapped, NaN is all ones, and a pattern with exponent 0 or 0x7FF
//! has no special meaning but is evaluated like any other.

const PLUS_INFINITY: u64 = 0xFFF0_0000_0000_0000;
const MINUS_INFINITY: u64 = 0x7FF0_0000_0000_0000;
const NAN: u64 = u64::MAX;
const SIGN: u64 = 1 << 63;
const FRACTION: u64 = (1 << 52) - 1;
const EXPONENT: u64 = 0x7FF << 52;
const HIDDEN: u64 = 1 << 52;

/// The pattern to write for `value`.
///
/// Subnormals below 2^-1023 in magnitude, and that number itself, have no usable pattern and are
/// written as zero with their sign; those above it keep every bit.
#[inline]
pub(crate) fn to_wire(value: f64) -> u64 {
    let bits = value.to_bits();
    match bits & EXPONENT {
        EXPONENT if bits & FRACTION != 0 => NAN,
        EXPONENT if bits & SIGN == 0 => PLUS_INFINITY,
        EXPONENT => MINUS_INFINITY,
        0 => subnormal_to_wire(bits),
        _ => bits,
    }
}

/// (1+f) * 2^-1023 is written as exponent 0 and fraction f; in IEEE terms it is the subnormal
/// with the fraction (2^52 + f * 2^52) / 2.
fn subnormal_to_wire(bits: u64) -> u64 {
    let doubled = (bits & FRACTION) << 1;
    bits & SIGN | doubled.saturating_sub(HIDDEN)
}

/// The value that a received pattern stands for.
#[inline]
pub(crate) fn from_wire(pattern: u64) -> f64 {
    let sign = pattern & SIGN;
    match pattern & EXPONENT {
        EXPONENT if pattern == NAN => f64::NAN,
        EXPONENT if pattern & FRACTION == 0 => f64::from_bits(pattern ^ SIGN),
        EXPONENT => f64::from_bits(sign | EXPONENT),
        0 if pattern & FRACTION == 0 => f64::from_bits(pattern),
        0 => f64::from_bits(sign | halve(HIDDEN | pattern & FRACTION)),
        _ => f64::from_bits(pattern),
    }
}

/// Half of an integer, ties to even, as the last halving in binary64 arithmetic rounds.
fn halve(n: u64) -> u64 {
    (n >> 1) + (n & (n >> 1) & 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a pattern by the defining arithmetic: repeated doubling or halving.
    fn by_arithmetic(pattern: u64) -> f64 {
        match pattern {
            NAN => return f64::NAN,
            PLUS_INFINITY => return f64::INFINITY,
            MINUS_INFINITY => return f64::NEG_INFINITY,
            0 => return 0.0,
            SIGN => return -0.0,
            _ => {}
        }
        let mut value = 1.0 + (pattern & FRACTION) as f64 / HIDDEN as f64;
        let exponent = ((pattern & EXPONENT) >> 52) as i32 - 1023;
        for _ in 0..exponent.abs() {
            value *= if exponent > 0 { 2.0 } else { 0.5 };
        }
        if pattern & SIGN == 0 { value } else { -value }
    }

    #[test]
    fn patterns_read_as_the_defining_arithmetic_says() {
        let fractions =
            [0, 1, 2, 3, 4, 5, 1 << 51, (1 << 51) + 1, FRACTION - 2, FRACTION - 1, FRACTION];
        for exponent in [0, 1, 2, 0x3FE, 0x3FF, 0x400, 0x7FD, 0x7FE, 0x7FF] {
            for fraction in fractions {
                for sign in [0, SIGN] {
                    let pattern = sign | exponent << 52 | fraction;
                    let (got, want) = (from_wire(pattern), by_arithmetic(pattern));
                    assert!(
                        got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(),
                        "{pattern:016x}: {got:e}, not {want:e}"
                    );
                }
            }
        }
    }

    #[test]
    fn infinities_are_swapped_and_every_nan_is_all_ones() {
        assert_eq!(to_wire(f64::INFINITY), PLUS_INFINITY);
        assert_eq!(to_wire(f64::NEG_INFINITY), MINUS_INFINITY);
        assert_eq!(to_wire(f64::NAN), u64::MAX);
        assert_eq!(to_wire(f64::from_bits(0x7FF0_0000_0000_0001)), u64::MAX);
    }

    #[test]
    fn subnormals_keep_their_bits_above_2_to_the_minus_1023_and_are_zero_below() {
        let edge = 1 << 51;
        for sign in [0, SIGN] {
            for fraction in [1, 2, edge - 1, edge] {
                assert_eq!(to_wire(f64::from_bits(sign | fraction)), sign);
            }
            for fraction in [edge + 1, edge + 2, FRACTION - 1, FRACTION] {
                let bits = sign | fraction;
                assert_eq!(from_wire(to_wire(f64::from_bits(bits))).to_bits(), bits);
            }
        }
    }
}
