// Layer and root-mean-square norms with affine maps and modulation; reference:
// engine/src/kernels/norm.rs.
#include "device.cuh"

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / 32;

// The sum of `x` over the block, the same for every thread and every run.
DEVICE float block_sum(float x, float *partial) {
    for (int lanes = 16; lanes > 0; lanes /= 2) {
        x += shuffle_xor(x, lanes);
    }
    __syncthreads(); // the sums before these have been read
    if (threadIdx.x % 32 == 0) {
        partial[threadIdx.x / 32] = x;
    }
    __syncthreads();
    float total = 0.0f;
#pragma unroll
    for (int i = 0; i < WARPS; ++i) {
        total += partial[i];
    }
    return total;
}

// Calls `f(value, index)` for the values of a row that belong to this thread.
template <typename T, typename F>
DEVICE void for_values(const T *x, i64 width, bool packed, F f) {
    constexpr int N = Wide<T>::COUNT;
    typedef typename Wide<T>::Type Values;
    if (packed) {
        for (i64 i = threadIdx.x * N; i < width; i += THREADS * N) {
            const Values values = *reinterpret_cast<const Values *>(x + i);
#pragma unroll
            for (int j = 0; j < N; ++j) {
                f(widen(values.at[j]), i + j);
            }
        }
        return;
    }
    for (i64 i = threadIdx.x; i < width; i += THREADS) {
        f(widen(x[i]), i);
    }
}

// y = (x - mean) / deviation * (offset + weight) + bias: a block a row of `width` values. Weight and
// bias may be missing; they hold `width` values for every `rows_per_group` rows. The mean is left in
// where `centred` is 0. After the first pass a row comes out of the first-level cache.
template <typename T, typename W>
DEVICE void norm(const T *x, const W *weight, const W *bias, T *y, i64 width, i64 rows_per_group,
                 i64 centred, float eps, float offset) {
    constexpr int N = Wide<T>::COUNT;
    typedef typename Wide<T>::Type Values;
    float *partial = reinterpret_cast<float *>(shared_memory());
    const i64 row = blockIdx.x, group = row / rows_per_group * width;
    x += row * width;
    y += row * width;
    const bool packed = width % N == 0 && aligned(x, y);
    const float share = 1.0f / static_cast<float>(width);
    float mean = 0.0f;
    if (centred) {
        float sum = 0.0f;
        for_values(x, width, packed, [&](float value, i64) { sum += value; });
        mean = share * block_sum(sum, partial);
    }
    float squares = 0.0f;
    for_values(x, width, packed, [&](float value, i64) {
        squares = fmaf(value - mean, value - mean, squares);
    });
    const float inverse = 1.0f / sqrtf(share * block_sum(squares, partial) + eps);
    auto mapped = [&](float value, i64 i) {
        float result = (value - mean) * inverse;
        if (weight != nullptr) {
            result *= offset + widen(weight[group + i]);
        }
        if (bias != nullptr) {
            result += widen(bias[group + i]);
        }
        return result;
    };
    if (packed) {
        for (i64 i = threadIdx.x * N; i < width; i += THREADS * N) {
            Values values = *reinterpret_cast<const Values *>(x + i);
#pragma unroll
            for (int j = 0; j < N; ++j) {
                values.at[j] = narrowed<T>(mapped(widen(values.at[j]), i + j));
            }
            *reinterpret_cast<Values *>(y + i) = values;
        }
        return;
    }
    for (i64 i = threadIdx.x; i < width; i += THREADS) {
        y[i] = narrowed<T>(mapped(widen(x[i]), i));
    }
}

#define NORM(name, T, W)                                                                            \
    KERNEL(name, THREADS, const T *x, const W *weight, const W *bias, T *y, i64 width,              \
           i64 rows_per_group, i64 centred, float eps, float offset) {                              \
        norm<T, W>(x, weight, bias, y, width, rows_per_group, centred, eps, offset);                \
    }

// x and result, then weight and bias.
NORM(norm_f32_f32, float, float)
NORM(norm_bf16_bf16, bf16, bf16)
NORM(norm_bf16_f32, bf16, float)
NORM(norm_f16_f16, f16, f16)
NORM(norm_f16_f32, f16, float)
