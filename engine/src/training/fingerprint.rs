//! Short names for contents, to tell whether a file still belongs to its run.

/// FNV-1a of bytes, 64 bits, as hexadecimal digits. Guards against mix-ups, not against malice.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
