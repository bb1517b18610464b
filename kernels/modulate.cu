// The gated residual of a DiT block; reference: engine/src/kernels/modulate.rs.
#include "device.cuh"

constexpr int THREADS = 256;

// out = x + gate * y: a block a row of `width`; a gate serves `rows_per_gate` rows.
template <typename T>
DEVICE void gated_add(const T *x, const T *y, const float *gate, T *out, i64 width,
                      i64 rows_per_gate) {
    constexpr int N = Wide<T>::COUNT;
    typedef typename Wide<T>::Type Values;
    const i64 row = blockIdx.x;
    x += row * width;
    y += row * width;
    out += row * width;
    gate += row / rows_per_gate * width;
    if (width % N == 0 && aligned(x, y, out)) {
        for (i64 i = threadIdx.x * N; i < width; i += THREADS * N) {
            Values xs = *reinterpret_cast<const Values *>(x + i);
            const Values ys = *reinterpret_cast<const Values *>(y + i);
#pragma unroll
            for (int j = 0; j < N; ++j) {
                xs.at[j] = narrowed<T>(fmaf(gate[i + j], widen(ys.at[j]), widen(xs.at[j])));
            }
            *reinterpret_cast<Values *>(out + i) = xs;
        }
        return;
    }
    for (i64 i = threadIdx.x; i < width; i += THREADS) {
        out[i] = narrowed<T>(fmaf(gate[i], widen(y[i]), widen(x[i])));
    }
}

#define GATED_ADD(name, T)                                                                          \
    KERNEL(name, THREADS, const T *x, const T *y, const float *gate, T *out, i64 width,             \
           i64 rows_per_gate) {                                                                     \
        gated_add<T>(x, y, gate, out, width, rows_per_gate);                                        \
    }

GATED_ADD(gated_add_f32, float)
GATED_ADD(gated_add_bf16, bf16)
GATED_ADD(gated_add_f16, f16)
