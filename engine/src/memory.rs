//! What the program holds in main memory, counted at the allocator, and pages that fit tensors.
//!
//! A program installs [`CountingAllocator`] as its global allocator. Mapped files are not counted: the
//! system takes their pages back whenever it needs them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Smaller pieces are passed over: they are many, and their sum is small beside tensors.
const SMALLEST_BYTES: usize = 256;

/// A page of the larger kind.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;
/// Pieces from this size on ask for huge pages and have the system's allocator set up for them.
const LARGE_BYTES: usize = 4 << 20;

/// Pieces from this size on lie apart, and go back to the system when they are freed: that of the
/// smallest streamed matrices of a 14B network. Smaller pieces are quicker to get from the heaps.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const APART_BYTES: libc::c_int = 25 << 20;

static INSTALLED: AtomicBool = AtomicBool::new(false);
static HELD: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);
static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);

/// The system's allocator with a counter and, for tests of memory plans, a limit. On Linux large
/// pieces lie on huge pages: a tensor is new memory in every operation, and making it known to the
/// processor in pieces of 4 KiB took a fifth of the codec's time.
#[derive(Debug)]
pub struct CountingAllocator;

/// Bytes that count for a piece.
fn counted(size: usize) -> u64 {
    if size < SMALLEST_BYTES {
        0
    } else {
        size as u64
    }
}

/// Notes a new piece; false if it would go over the limit.
fn grow(bytes: u64) -> bool {
    if bytes == 0 {
        return true;
    }
    INSTALLED.store(true, Ordering::Relaxed);
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    if held > LIMIT.load(Ordering::Relaxed) {
        HELD.fetch_sub(bytes, Ordering::Relaxed);
        return false;
    }
    if held > PEAK.load(Ordering::Relaxed) {
        PEAK.fetch_max(held, Ordering::Relaxed);
    }
    true
}

fn shrink(bytes: u64) {
    if bytes > 0 {
        HELD.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Keeps large pieces out of the heaps that small ones share.
///
/// The system's allocator raises the size from which pieces lie apart to that of the largest piece freed
/// so far, up to 32 MiB. Streamed weights of 25 MiB then fill heaps of 64 MiB a thread with holes that
/// are never given back: 1.0 GB beyond the plan of a 14B model. A size of our own stops that.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn lay_large_pieces_apart() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    #[expect(
        unsafe_code,
        reason = "settings of the allocator go through the system's interface"
    )]
    // SAFETY: the setting is one of glibc's, and no lock of the allocator is held here.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, APART_BYTES);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn lay_large_pieces_apart() {}

/// Asks for huge pages where whole ones fit into a piece. Without them everything works as well, so an
/// answer of the system is not looked at.
#[cfg(target_os = "linux")]
fn prefer_huge_pages(piece: *mut u8, size: usize) {
    if piece.is_null() || size < LARGE_BYTES {
        return;
    }
    let skipped = piece.align_offset(HUGE_PAGE);
    let len = (size - skipped) / HUGE_PAGE * HUGE_PAGE;
    #[expect(
        unsafe_code,
        reason = "advice on memory goes through the system's interface"
    )]
    // SAFETY: the range lies within the piece, and this advice changes no contents.
    unsafe {
        libc::madvise(piece.add(skipped).cast(), len, libc::MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
fn prefer_huge_pages(_piece: *mut u8, _size: usize) {}

fn before_piece(size: usize) {
    if size >= LARGE_BYTES {
        lay_large_pieces_apart();
    }
}

#[expect(unsafe_code, reason = "an allocator hands out raw memory")]
// SAFETY: every call goes to the system's allocator unchanged, or fails with null as allocators may.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !grow(counted(layout.size())) {
            return std::ptr::null_mut();
        }
        before_piece(layout.size());
        // SAFETY: the caller's promises are passed on.
        let piece = unsafe { System.alloc(layout) };
        prefer_huge_pages(piece, layout.size());
        piece
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !grow(counted(layout.size())) {
            return std::ptr::null_mut();
        }
        before_piece(layout.size());
        // SAFETY: the caller's promises are passed on.
        let piece = unsafe { System.alloc_zeroed(layout) };
        prefer_huge_pages(piece, layout.size());
        piece
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !grow(counted(new_size)) {
            return std::ptr::null_mut();
        }
        before_piece(new_size);
        // SAFETY: the caller's promises are passed on.
        let moved = unsafe { System.realloc(ptr, layout, new_size) };
        prefer_huge_pages(moved, new_size);
        shrink(counted(if moved.is_null() {
            new_size
        } else {
            layout.size()
        }));
        moved
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) };
        shrink(counted(layout.size()));
    }
}

/// Bytes held now; `None` if the program has no [`CountingAllocator`].
pub fn held_bytes() -> Option<u64> {
    INSTALLED
        .load(Ordering::Relaxed)
        .then(|| HELD.load(Ordering::Relaxed))
}

/// Refuses memory beyond `bytes`: allocations fail, which ends the program.
pub fn set_limit(bytes: u64) {
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// Measures the most that a piece of work holds on top of what was there before it.
#[derive(Debug)]
pub struct PeakMeter {
    before: u64,
}

impl PeakMeter {
    /// Starts measuring; one at a time.
    pub fn start() -> Self {
        let before = HELD.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        Self { before }
    }

    /// The most bytes held since the start beyond those held then; `None` without a counter.
    pub fn peak_bytes(&self) -> Option<u64> {
        let counts = INSTALLED.load(Ordering::Relaxed);
        counts.then(|| PEAK.load(Ordering::Relaxed).saturating_sub(self.before))
    }
}
