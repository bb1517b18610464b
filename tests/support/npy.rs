//! Writes NumPy arrays as numpy does, for the readers' tests.

/// A number that numpy stores.
pub trait Number: Copy {
    /// `descr` of the header.
    const DESCR: &'static str;
    /// Its bytes, little-endian.
    fn bytes(self) -> Vec<u8>;
}

macro_rules! number {
    ($($kind:ty => $descr:literal),*) => {$(
        impl Number for $kind {
            const DESCR: &'static str = $descr;
            fn bytes(self) -> Vec<u8> {
                self.to_le_bytes().to_vec()
            }
        }
    )*};
}
number!(f32 => "<f4", f64 => "<f8", u8 => "|u1", u16 => "<u2", i32 => "<i4", i64 => "<i8");

/// Half precision, by its bits.
#[derive(Clone, Copy, Debug)]
pub struct HalfBits(pub u16);

impl Number for HalfBits {
    const DESCR: &'static str = "<f2";
    fn bytes(self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }
}

impl Number for bool {
    const DESCR: &'static str = "|b1";
    fn bytes(self) -> Vec<u8> {
        vec![u8::from(self)]
    }
}

/// The bytes of `np.save(file, array)` for an array in C order.
pub fn npy<T: Number>(shape: &[usize], values: &[T]) -> Vec<u8> {
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    // A tuple of one has a comma after it.
    let dims = match &dims[..] {
        [only] => format!("{only},"),
        _ => dims.join(", "),
    };
    let mut header = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({dims}), }}",
        T::DESCR
    );
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    values.iter().for_each(|v| bytes.extend(v.bytes()));
    bytes
}
