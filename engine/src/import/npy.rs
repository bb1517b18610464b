//! NumPy arrays on disk (`.npy` versions 1 to 3).
//!
//! Numbers only: an object array is a pickle, and a pickle is a program. Layout: magic, version,
//! header length, a Python dictionary literal with `descr`, `fortran_order` and `shape`, then the
//! values (numpy/lib/format.py).

use half::f16;

use super::budget::{Budget, Reason};

/// Most dimensions that an array may have.
const MAX_RANK: usize = 8;

/// Kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NpyType {
    /// Half, single and double precision.
    F16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Bytes.
    U8,
    /// One byte, 0 or not.
    Bool,
    /// Two bytes, unsigned.
    U16,
    /// Four bytes, signed.
    I32,
    /// Eight bytes, signed.
    I64,
}

impl NpyType {
    fn parse(descr: &str) -> Reason<Self> {
        Ok(match descr {
            "<f2" => Self::F16,
            "<f4" => Self::F32,
            "<f8" => Self::F64,
            "|u1" | "<u1" => Self::U8,
            "|b1" => Self::Bool,
            "<u2" => Self::U16,
            "<i4" => Self::I32,
            "<i8" => Self::I64,
            _ if descr.contains('O') => {
                return Err("holds Python objects, which are not read".to_owned());
            }
            _ => {
                return Err(format!(
                    "values of type `{descr}` are not read (f2, f4, f8, u1, u2, b1, i4, i8 are)"
                ));
            }
        })
    }

    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::Bool => 1,
            Self::F16 | Self::U16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// An array as it lies in its file.
#[derive(Clone, Debug)]
pub struct NpyArray<'a> {
    /// Kind of its numbers.
    pub kind: NpyType,
    /// Its dimensions; empty for a single number.
    pub shape: Vec<usize>,
    fortran: bool,
    values: &'a [u8],
}

impl<'a> NpyArray<'a> {
    /// Reads the header and finds the values.
    ///
    /// # Errors
    /// What is wrong with the file: no magic, object type, truncated values.
    pub fn parse(bytes: &'a [u8]) -> Reason<Self> {
        let body = bytes
            .strip_prefix(b"\x93NUMPY")
            .ok_or("is no NumPy array: the magic is missing")?;
        let &[major, _minor, a, b, ..] = body else {
            return Err("truncated within the header".to_owned());
        };
        let (header_bytes, start): (usize, usize) = if major == 1 {
            (usize::from(u16::from_le_bytes([a, b])), 4)
        } else {
            let length: [u8; 4] = body
                .get(2..6)
                .and_then(|l| l.try_into().ok())
                .ok_or("truncated within the header")?;
            (u32::from_le_bytes(length) as usize, 6)
        };
        let header = start
            .checked_add(header_bytes)
            .and_then(|end| body.get(start..end))
            .ok_or("truncated within the header")?;
        let header = std::str::from_utf8(header).map_err(|_| "the header is no text")?;
        let descr = literal_after(header, "descr")?;
        let kind = NpyType::parse(
            descr
                .strip_prefix(['\'', '"'])
                .and_then(|d| d.split(['\'', '"']).next())
                .ok_or("the header's `descr` is no plain type")?,
        )?;
        let fortran = literal_after(header, "fortran_order")?.starts_with("True");
        let shape = parse_shape(literal_after(header, "shape")?)?;
        Self::over(kind, fortran, shape, &body[start + header_bytes..])
    }

    /// An array whose header stood elsewhere, `descr` as in the file format.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub(super) fn from_parts(
        descr: &str,
        fortran: bool,
        shape: Vec<usize>,
        values: &'a [u8],
    ) -> Reason<Self> {
        Self::over(NpyType::parse(descr)?, fortran, shape, values)
    }

    fn over(kind: NpyType, fortran: bool, shape: Vec<usize>, available: &'a [u8]) -> Reason<Self> {
        let count = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
        let length = count.and_then(|n| n.checked_mul(kind.bytes()));
        let values = length.and_then(|n| available.get(..n)).ok_or_else(|| {
            format!(
                "truncated: shape {shape:?} needs more than the {} bytes there are",
                available.len()
            )
        })?;
        Ok(Self {
            kind,
            shape,
            fortran,
            values,
        })
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.values.len() / self.kind.bytes()
    }

    /// True without values.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All values as f32, last dimension fastest.
    ///
    /// # Errors
    /// If the budget does not allow for them.
    pub fn to_f32(&self, budget: &Budget) -> Reason<Vec<f32>> {
        self.convert(budget, |x| x as f32)
    }

    /// All values as f64, last dimension fastest.
    ///
    /// # Errors
    /// If the budget does not allow for them.
    pub fn to_f64(&self, budget: &Budget) -> Reason<Vec<f64>> {
        self.convert(budget, |x| x)
    }

    /// Bytes and truth values as they are, last dimension fastest.
    ///
    /// # Errors
    /// For other kinds of numbers, or if the budget does not allow for them.
    pub fn to_u8(&self, budget: &Budget) -> Reason<Vec<u8>> {
        if !matches!(self.kind, NpyType::U8 | NpyType::Bool) {
            return Err(format!("bytes required, got {:?}", self.kind));
        }
        self.convert(budget, |x| x as u8)
    }

    fn convert<T>(&self, budget: &Budget, as_wanted: impl Fn(f64) -> T) -> Reason<Vec<T>> {
        budget.take("an array", self.len(), size_of::<T>())?;
        let mut found = Vec::with_capacity(self.len());
        let mut push = |i: usize| found.push(as_wanted(self.value(i)));
        if self.fortran && self.shape.len() > 1 {
            for_each_in_c_order(&self.shape, &mut push);
        } else {
            (0..self.len()).for_each(push);
        }
        Ok(found)
    }

    /// The value at a place in file order.
    fn value(&self, place: usize) -> f64 {
        let n = self.kind.bytes();
        let raw = &self.values[place * n..(place + 1) * n];
        match (self.kind, raw) {
            (NpyType::U8, &[a]) => f64::from(a),
            (NpyType::Bool, &[a]) => f64::from(u8::from(a != 0)),
            (NpyType::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f64(),
            (NpyType::U16, &[a, b]) => f64::from(u16::from_le_bytes([a, b])),
            (NpyType::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (NpyType::I32, &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
            (NpyType::F64, &[a, b, c, d, e, f, g, h]) => {
                f64::from_le_bytes([a, b, c, d, e, f, g, h])
            }
            (NpyType::I64, &[a, b, c, d, e, f, g, h]) => {
                i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64
            }
            _ => f64::NAN,
        }
    }
}

/// Calls `visit` with the place in a column-major array of each entry in row-major order.
fn for_each_in_c_order(shape: &[usize], visit: &mut impl FnMut(usize)) {
    let count: usize = shape.iter().product();
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        visit(index.iter().zip(&strides).map(|(i, s)| i * s).sum());
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// What stands after `'key':` in a dictionary literal.
fn literal_after<'h>(header: &'h str, key: &str) -> Reason<&'h str> {
    [format!("'{key}'"), format!("\"{key}\"")]
        .iter()
        .find_map(|quoted| header.split_once(quoted.as_str()))
        .and_then(|(_, rest)| rest.trim_start().strip_prefix(':'))
        .map(str::trim_start)
        .ok_or_else(|| format!("the header has no `{key}`"))
}

fn parse_shape(literal: &str) -> Reason<Vec<usize>> {
    let inside = literal
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .ok_or("the header's `shape` is no tuple")?
        .0;
    let shape = inside
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|word| word.trim_end_matches('L').parse())
        .collect::<std::result::Result<Vec<usize>, _>>()
        .map_err(|_| format!("the shape ({inside}) is not one of whole numbers"))?;
    if shape.len() > MAX_RANK {
        return Err(format!(
            "{} dimensions, at most {MAX_RANK} are read",
            shape.len()
        ));
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as numpy writes it.
    fn file(descr: &str, fortran: bool, shape: &str, values: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values);
        bytes
    }

    #[test]
    fn both_orders_come_out_with_the_last_dimension_fastest() {
        let values: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let budget = Budget::default();
        let c = file("<f4", false, "(2, 3)", &values);
        let f = file("<f4", true, "(2, 3)", &values);
        let read = |bytes: &[u8]| NpyArray::parse(bytes).unwrap().to_f32(&budget).unwrap();
        assert_eq!(read(&c), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(read(&f), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
    }

    #[test]
    fn every_kind_is_read_and_objects_are_refused() {
        let budget = Budget::default();
        let half = f16::from_f32(0.5).to_le_bytes();
        for (descr, raw, expected) in [
            ("<f2", &half[..], 0.5),
            ("<f8", &2.5_f64.to_le_bytes(), 2.5),
            ("|u1", &[200], 200.0),
            ("|b1", &[1], 1.0),
            ("<u2", &[0, 1], 256.0),
            ("<i4", &(-7_i32).to_le_bytes(), -7.0),
            ("<i8", &9_i64.to_le_bytes(), 9.0),
        ] {
            let bytes = file(descr, false, "()", raw);
            let array = NpyArray::parse(&bytes).unwrap();
            assert_eq!(array.to_f64(&budget).unwrap(), [expected], "{descr}");
        }
        let objects = file("|O", false, "(1,)", &[0; 8]);
        assert!(NpyArray::parse(&objects).unwrap_err().contains("objects"));
    }

    #[test]
    fn what_the_file_does_not_hold_is_not_allocated() {
        let short = file("<f4", false, "(1000000, 1000000, 1000)", &[0; 16]);
        assert!(NpyArray::parse(&short).unwrap_err().contains("truncated"));
        let wrap = file("<f4", false, "(9223372036854775807, 4)", &[0; 16]);
        assert!(NpyArray::parse(&wrap).is_err());
    }
}
