//! Writing Rust types without making a value first.

use super::Element;
use crate::{Encode, IpAddress, Slot, Timespan, Timestamp, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

/// Types that are written like another type.
macro_rules! encode_as {
    ($($source:ty => $target:ty),* $(,)?) => {$(
        impl Encode for $source {
            #[inline]
            fn encode_into(&self, out: &mut Vec<u8>) {
                <$target>::from(*self).encode_into(out);
            }
        }
    )*};
}

encode_as! {
    u8 => u64, u16 => u64, u32 => u64,
    i8 => i64, i16 => i64, i32 => i64,
    f32 => f64,
    IpAddr => IpAddress, Ipv4Addr => IpAddress, Ipv6Addr => IpAddress,
    SystemTime => Timestamp, Duration => Timespan,
}

impl Encode for usize {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        (*self as u64).encode_into(out);
    }
}

impl Encode for isize {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        (*self as i64).encode_into(out);
    }
}

impl Encode for () {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        Value::None.encode_into(out);
    }
}

impl Encode for String {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        self.as_str().encode_into(out);
    }
}

/// A string.
impl Encode for Vec<u8> {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        self.as_slice().encode_into(out);
    }
}

/// A string.
impl<const N: usize> Encode for [u8; N] {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        self.as_slice().encode_into(out);
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.encode_into(out),
            None => ().encode_into(out),
        }
    }
}

impl<T: Encode + Element> Encode for [T] {
    fn encode_into(&self, out: &mut Vec<u8>) {
        let mut vector = Slot::new(out).vector();
        for element in self {
            vector.push(element);
        }
    }
}

impl<T: Encode + Element> Encode for Vec<T> {
    fn encode_into(&self, out: &mut Vec<u8>) {
        self.as_slice().encode_into(out);
    }
}

impl<T: Encode + Element, const N: usize> Encode for [T; N] {
    fn encode_into(&self, out: &mut Vec<u8>) {
        self.as_slice().encode_into(out);
    }
}

macro_rules! encode_tuples {
    ($(($($name:ident),+);)*) => {$(
        impl<$($name: Encode),+> Encode for ($($name,)+) {
            #[allow(non_snake_case, reason = "one name for the type and the element")]
            fn encode_into(&self, out: &mut Vec<u8>) {
                let ($($name,)+) = self;
                let mut vector = Slot::new(out).vector();
                $(vector.push($name);)+
            }
        }
    )*};
}

encode_tuples! {
    (A);
    (A, B);
    (A, B, C);
    (A, B, C, D);
    (A, B, C, D, E);
    (A, B, C, D, E, F);
    (A, B, C, D, E, F, G);
    (A, B, C, D, E, F, G, H);
    (A, B, C, D, E, F, G, H, I);
    (A, B, C, D, E, F, G, H, I, J);
    (A, B, C, D, E, F, G, H, I, J, K);
    (A, B, C, D, E, F, G, H, I, J, K, L);
}
