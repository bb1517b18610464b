//! A contiguous array that is either owned or part of a memory-mapped file.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;

/// IEEE half precision, as files store it.
pub type Half = half::f16;

/// Values of one kind, contiguous, cheap to clone.
#[derive(Clone)]
pub struct Plane<T> {
    backing: Backing<T>,
}

#[derive(Clone)]
enum Backing<T> {
    Owned(Arc<[T]>),
    Mapped {
        file: Arc<Mmap>,
        bytes: Range<usize>,
        kind: PhantomData<T>,
    },
}

impl<T: bytemuck::Pod> Plane<T> {
    /// Takes ownership of values.
    pub fn new(values: Vec<T>) -> Self {
        Self {
            backing: Backing::Owned(values.into()),
        }
    }

    /// Borrows the bytes `bytes` of a mapped file; copies them where they are not aligned for `T`.
    ///
    /// Returns `None` if the range leaves the file or is no whole number of values.
    pub fn mapped(file: &Arc<Mmap>, bytes: Range<usize>) -> Option<Self> {
        let slice = file.get(bytes.clone())?;
        if slice.len() % size_of::<T>() != 0 {
            return None;
        }
        let backing = if bytemuck::try_cast_slice::<u8, T>(slice).is_ok() {
            Backing::Mapped {
                file: Arc::clone(file),
                bytes,
                kind: PhantomData,
            }
        } else {
            let mut values = vec![T::zeroed(); slice.len() / size_of::<T>()];
            bytemuck::cast_slice_mut::<T, u8>(&mut values).copy_from_slice(slice);
            Backing::Owned(values.into())
        };
        Some(Self { backing })
    }

    /// All values.
    pub fn as_slice(&self) -> &[T] {
        match &self.backing {
            Backing::Owned(values) => values,
            Backing::Mapped { file, bytes, .. } => bytemuck::cast_slice(&file[bytes.clone()]),
        }
    }

    /// True if the values lie in a mapped file.
    pub fn is_mapped(&self) -> bool {
        matches!(self.backing, Backing::Mapped { .. })
    }
}

impl<T: bytemuck::Pod> From<Vec<T>> for Plane<T> {
    fn from(values: Vec<T>) -> Self {
        Self::new(values)
    }
}

impl<T: bytemuck::Pod> std::fmt::Debug for Plane<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Plane({} values, mapped: {})",
            self.as_slice().len(),
            self.is_mapped()
        )
    }
}
