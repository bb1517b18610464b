//! The layers of a deep network: all in memory, or two at a time.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use candle_core::Device;

use crate::{Error, Result};

/// Makes a layer by its index.
pub type BuildLayer<T> = Arc<dyn Fn(usize) -> Result<T> + Send + Sync>;

/// Layers that are visited in order, again and again.
pub struct Layers<T>(Source<T>);

enum Source<T> {
    Resident(Vec<T>),
    Streamed {
        count: usize,
        device: Device,
        build: BuildLayer<T>,
    },
}

impl<T: Send> Layers<T> {
    /// Layers that stay.
    pub fn resident(layers: Vec<T>) -> Self {
        Self(Source::Resident(layers))
    }

    /// Layers that are made when they are needed: while one is used the next is made by a thread,
    /// and a used one is dropped. At most two exist at a time. `device` is where their weights go.
    pub fn streamed(count: usize, device: &Device, build: BuildLayer<T>) -> Self {
        let device = device.clone();
        Self(Source::Streamed {
            count,
            device,
            build,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Source::Resident(layers) => layers.len(),
            Source::Streamed { count, .. } => *count,
        }
    }

    /// True for none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if layers are made when they are needed.
    pub fn is_streamed(&self) -> bool {
        matches!(self.0, Source::Streamed { .. })
    }

    /// Changes every layer: those that stay at once, the others whenever they are made.
    pub fn change(
        &mut self,
        change: impl Fn(usize, &mut T) -> Result<()> + Send + Sync + 'static,
    ) -> Result<()>
    where
        T: 'static,
    {
        match &mut self.0 {
            Source::Resident(layers) => {
                let mut numbered = layers.iter_mut().enumerate();
                numbered.try_for_each(|(index, layer)| change(index, layer))
            }
            Source::Streamed { build, .. } => {
                let before = Arc::clone(build);
                *build = Arc::new(move |index| {
                    let mut layer = before(index)?;
                    change(index, &mut layer)?;
                    Ok(layer)
                });
                Ok(())
            }
        }
    }

    /// Calls `visit` with every layer in order.
    ///
    /// # Errors
    /// The first error of `visit`, or of making a layer.
    pub fn for_each(&self, visit: impl FnMut(usize, &T) -> Result<()>) -> Result<()> {
        self.for_range(0..self.len(), visit)
    }

    /// Calls `visit` with the layers of `range` in order; no others are made.
    ///
    /// # Errors
    /// As [`Self::for_each`].
    pub fn for_range(
        &self,
        range: Range<usize>,
        mut visit: impl FnMut(usize, &T) -> Result<()>,
    ) -> Result<()> {
        let (device, build) = match &self.0 {
            Source::Resident(layers) => {
                let mut numbered = layers[range.clone()].iter().zip(range);
                return numbered.try_for_each(|(layer, index)| visit(index, layer));
            }
            Source::Streamed { device, build, .. } => (device.clone(), Arc::clone(build)),
        };
        let fetched = range.clone();
        // A meeting place without room: the thread waits with a layer in hand, so that there are
        // this one and the one in use.
        let (hand_over, take) = sync_channel::<Result<T>>(0);
        std::thread::scope(|scope| {
            let fetch = move || {
                for index in fetched {
                    // Threads have streams of their own on a GPU: what this one copies must have
                    // arrived before another uses it. Its copies run beside the other's kernels.
                    let layer = build(index).and_then(|layer| {
                        device.synchronize()?;
                        Ok(layer)
                    });
                    let failed = layer.is_err();
                    // Nobody takes it if the visit of an earlier layer failed.
                    if hand_over.send(layer).is_err() || failed {
                        return;
                    }
                }
            };
            std::thread::Builder::new()
                .name("one4d-fetch".to_owned())
                .spawn_scoped(scope, fetch)
                .map_err(|e| Error::io("thread one4d-fetch", e))?;
            let result = range.clone().try_for_each(|index| {
                let layer = take.recv().map_err(|_| Error::Panic {
                    message: format!("the thread that fetches layer {index} ended early"),
                })??;
                visit(index, &layer)
            });
            drop(take);
            result
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how many of its kind exist.
    struct Counted(Arc<AtomicUsize>, usize);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn counted(most: &Arc<AtomicUsize>, fails_at: usize) -> Layers<Counted> {
        let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::clone(most));
        let build = move |index| {
            if index == fails_at {
                return Err(Error::invalid("layer", "cannot be read"));
            }
            let now = alive.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            Ok(Counted(Arc::clone(&alive), index))
        };
        Layers::streamed(9, &Device::Cpu, Arc::new(build))
    }

    #[test]
    fn streamed_layers_come_in_order_and_at_most_two_exist() {
        let most = Arc::new(AtomicUsize::new(0));
        let mut layers = counted(&most, usize::MAX);
        layers
            .change(|index, layer| {
                layer.1 += 100 * index;
                Ok(())
            })
            .unwrap();
        for _ in 0..2 {
            let mut seen = Vec::new();
            let visit = |index: usize, layer: &Counted| {
                seen.push((index, layer.1));
                Ok(())
            };
            layers.for_each(visit).unwrap();
            assert_eq!(seen, (0..9).map(|i| (i, 101 * i)).collect::<Vec<_>>());
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
        let mut seen = Vec::new();
        let visit = |index: usize, _: &Counted| {
            seen.push(index);
            Ok(())
        };
        layers.for_range(1..3, visit).unwrap();
        assert_eq!(seen, [1, 2]);
    }

    #[test]
    fn errors_of_both_sides_end_the_walk() {
        let most = Arc::new(AtomicUsize::new(0));
        let mut visited = 0;
        let broken = counted(&most, 4).for_each(|_, _| {
            visited += 1;
            Ok(())
        });
        assert!(broken.unwrap_err().to_string().contains("cannot be read"));
        assert_eq!(visited, 4);
        let refused = counted(&most, usize::MAX).for_each(|index, _| match index {
            3 => Err(Error::Cancelled),
            _ => Ok(()),
        });
        assert!(refused.unwrap_err().is_cancelled());
    }
}
