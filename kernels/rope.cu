// Rotation of interleaved pairs by a token's angles; reference: engine/src/kernels/rope.rs.
#include "device.cuh"

constexpr int THREADS = 256;

template <typename T>
DEVICE void rotate(const T *x, const float *cos, const float *sin, T *y, i64 i) {
    const float re = widen(x[0]), im = widen(x[1]);
    y[0] = narrowed<T>(re * cos[i] - im * sin[i]);
    y[1] = narrowed<T>(re * sin[i] + im * cos[i]);
}

// x [R, N, A, D] as `count` values, tables [N, D / 2]; a thread takes a pack of 16 bytes.
template <typename T>
DEVICE void rope(const T *x, const float *cos, const float *sin, T *y, i64 count, i64 tokens,
                 i64 heads, i64 width) {
    constexpr int N = Wide<T>::COUNT;
    typedef typename Wide<T>::Type Values;
    const i64 first = (static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x) * N;
    if (first >= count) {
        return;
    }
    if (width % N == 0 && aligned(x, y)) {
        const i64 token = first / (heads * width) % tokens;
        const i64 angle = token * (width / 2) + first % width / 2;
        const Values from = *reinterpret_cast<const Values *>(x + first);
        Values to;
#pragma unroll
        for (int j = 0; j < N; j += 2) {
            rotate(&from.at[j], cos, sin, &to.at[j], angle + j / 2);
        }
        *reinterpret_cast<Values *>(y + first) = to;
        return;
    }
    for (i64 i = first; i < count && i < first + N; i += 2) {
        const i64 token = i / (heads * width) % tokens;
        rotate(x + i, cos, sin, y + i, token * (width / 2) + i % width / 2);
    }
}

#define ROPE(name, T)                                                                              \
    KERNEL(name, THREADS, const T *x, const float *cos, const float *sin, T *y, i64 count,         \
           i64 tokens, i64 heads, i64 width) {                                                     \
        rope<T>(x, cos, sin, y, count, tokens, heads, width);                                      \
    }

ROPE(rope_f32, float)
ROPE(rope_bf16, bf16)
ROPE(rope_f16, f16)
