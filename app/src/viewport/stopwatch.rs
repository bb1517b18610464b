//! How long the device takes for a picture, by its own clock.

use std::sync::{Arc, Mutex, PoisonError};

use super::pace::Detail;

/// Bytes of two time stamps.
const BYTES: u64 = 16;

/// Where a measurement stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Free,
    Underway,
    Arrived,
    Failed,
}

/// Measures one picture at a time; those meanwhile go unmeasured.
pub(super) struct Stopwatch {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    secs_per_tick: f64,
    phase: Arc<Mutex<Phase>>,
    detail: Detail,
}

impl Stopwatch {
    /// `None` where the device has no clock.
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Option<Self> {
        if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return None;
        }
        let buffer = |label, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: BYTES,
                usage,
                mapped_at_creation: false,
            })
        };
        Some(Self {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("Stopwatch::queries"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: buffer(
                "Stopwatch::resolved",
                wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            ),
            staging: buffer(
                "Stopwatch::staging",
                wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            ),
            secs_per_tick: f64::from(queue.get_timestamp_period()) * 1e-9,
            phase: Arc::new(Mutex::new(Phase::Free)),
            detail: Detail::WHOLE,
        })
    }

    /// Puts commands around those of a picture, all to be submitted in this order.
    pub(super) fn around(
        &mut self,
        device: &wgpu::Device,
        picture: wgpu::CommandBuffer,
        detail: Detail,
    ) -> Vec<wgpu::CommandBuffer> {
        if self.phase() != Phase::Free {
            return vec![picture];
        }
        self.set(Phase::Underway);
        self.detail = detail;
        let mut before = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.stamp(&mut before, 0);
        let mut after = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.stamp(&mut after, 1);
        after.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        after.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, BYTES);
        let phase = Arc::clone(&self.phase);
        after.map_buffer_on_submit(&self.staging, wgpu::MapMode::Read, .., move |mapped| {
            *phase.lock().unwrap_or_else(PoisonError::into_inner) = if mapped.is_ok() {
                Phase::Arrived
            } else {
                Phase::Failed
            };
        });
        vec![before.finish(), picture, after.finish()]
    }

    /// What the measured picture took, seconds, once that has arrived.
    pub(super) fn take(&mut self) -> Option<(Detail, f32)> {
        if self.phase() != Phase::Arrived {
            return None;
        }
        let ticks = self.staging.slice(..).get_mapped_range().ok().map(|bytes| {
            let (stamps, _) = bytes.as_chunks::<8>();
            u64::from_le_bytes(stamps[1]).saturating_sub(u64::from_le_bytes(stamps[0]))
        });
        self.staging.unmap();
        self.set(Phase::Free);
        ticks.map(|ticks| (self.detail, (ticks as f64 * self.secs_per_tick) as f32))
    }

    /// An empty pass, as stamps outside of passes need a feature that few devices have.
    fn stamp(&self, encoder: &mut wgpu::CommandEncoder, index: u32) {
        drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("Stopwatch::stamp"),
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: Some(index),
                end_of_pass_write_index: None,
            }),
        }));
    }

    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}
