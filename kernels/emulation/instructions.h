// The instructions of device.cuh, carried out by the fibres of fibres.h.
//
// Warp instructions follow the fragment layouts of the PTX manual (mma.m16n8k16, ldmatrix). An
// asynchronous copy happens when it is waited for and not before, so that a missing wait is seen.
#pragma once

#include <math.h>
#include <string.h>

#include "fibres.h"

#define DEVICE inline
#define KERNEL(name, threads, ...)                                               \
    static void name(__VA_ARGS__);                                               \
    static emulation::Registered registered_##name(#name, threads, name);        \
    static void name(__VA_ARGS__)

#define threadIdx (emulation::thread_index())
#define blockIdx (emulation::block_index())
#define __syncthreads emulation::block_barrier

inline unsigned char *shared_memory() { return emulation::shared(); }

// 16-bit values by their bits; conversions round to the nearest, ties to even.
struct bf16 {
    uint16_t bits;
};

struct f16 {
    uint16_t bits;
};

inline uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

inline float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

inline float widen(float x) { return x; }
inline float widen(bf16 x) { return float_of(static_cast<uint32_t>(x.bits) << 16); }

inline float widen(f16 x) {
    const int exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
    float size;
    if (exponent == 31) {
        size = fraction ? NAN : INFINITY;
    } else if (exponent == 0) {
        size = ldexpf(static_cast<float>(fraction), -24);
    } else {
        size = ldexpf(static_cast<float>(1024 + fraction), exponent - 25);
    }
    return x.bits >> 15 ? -size : size;
}

inline void narrow(float x, float &y) { y = x; }

inline void narrow(float x, bf16 &y) {
    const uint32_t bits = bits_of(x);
    const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
    y.bits = static_cast<uint16_t>((isnan(x) ? bits | 0x400000 : rounded) >> 16);
}

inline void narrow(float x, f16 &y) {
    const uint16_t sign = static_cast<uint16_t>(bits_of(x) >> 16 & 0x8000);
    const float size = fabsf(x);
    uint32_t bits;
    if (isnan(x)) {
        bits = 0x7e00;
    } else if (size >= 65520.0f) {
        bits = 0x7c00;
    } else if (size < ldexpf(1.0f, -14)) {
        bits = static_cast<uint32_t>(nearbyintf(ldexpf(size, 24))); // subnormal, or the first normal
    } else {
        int exponent; // size = part * 2^exponent, part in 0.5 .. 1
        const float part = frexpf(size, &exponent);
        const uint32_t digits = static_cast<uint32_t>(nearbyintf(ldexpf(part, 11)));
        bits = (static_cast<uint32_t>(exponent + 13) << 10) + digits; // a carry goes into the exponent
    }
    y.bits = static_cast<uint16_t>(sign | bits);
}

template <typename T>
inline uint32_t pack(float low, float high, T) {
    T parts[2];
    narrow(low, parts[0]);
    narrow(high, parts[1]);
    return parts[0].bits | static_cast<uint32_t>(parts[1].bits) << 16;
}

inline float exp2_fast(float x) { return exp2f(x); }

inline void copy_async(void *to, const void *from, int bytes) {
    emulation::current().queue.push_back({to, from, bytes});
}

inline void copies_commit() {
    emulation::Fibre &fibre = emulation::current();
    fibre.groups.push_back(fibre.queue);
    fibre.queue.clear();
}

template <int PENDING>
inline void copies_wait() {
    emulation::Fibre &fibre = emulation::current();
    while (fibre.groups.size() > PENDING) {
        for (const emulation::Copy &copy : fibre.groups.front()) {
            memset(copy.to, 0, 16);
            memcpy(copy.to, copy.from, copy.bytes);
        }
        fibre.groups.erase(fibre.groups.begin());
    }
}

// ---- Instructions of a whole warp ------------------------------------------------------------------

struct MatrixRow {
    const uint16_t *from;
    uint32_t *to;
};

// Lane `l` receives values `2 (l % 4)` and the next of row `l / 4` of every matrix.
template <bool TRANSPOSED>
inline void exchange_matrices(void **lanes) {
    for (int lane = 0; lane < 32; ++lane) {
        for (int matrix = 0; matrix < 4; ++matrix) {
            uint32_t value = 0;
            for (int i = 0; i < 2; ++i) {
                const int along = lane % 4 * 2 + i, across = lane / 4;
                const int row = TRANSPOSED ? along : across, column = TRANSPOSED ? across : along;
                const MatrixRow &holder = *static_cast<MatrixRow *>(lanes[matrix * 8 + row]);
                value |= static_cast<uint32_t>(holder.from[column]) << 16 * i;
            }
            static_cast<MatrixRow *>(lanes[lane])->to[matrix] = value;
        }
    }
}

inline void load_matrices(uint32_t (&to)[4], const void *row) {
    MatrixRow mine = {static_cast<const uint16_t *>(row), to};
    emulation::as_warp(&mine, exchange_matrices<false>);
}

inline void load_matrices_transposed(uint32_t (&to)[4], const void *row) {
    MatrixRow mine = {static_cast<const uint16_t *>(row), to};
    emulation::as_warp(&mine, exchange_matrices<true>);
}

struct Fragment {
    float *c;
    const uint32_t *a;
    uint32_t b[2];
};

template <typename T>
inline float half_of(uint32_t pair, int index) {
    T value;
    value.bits = static_cast<uint16_t>(pair >> 16 * index);
    return widen(value);
}

// c [16, 8] += a [16, 16] b [16, 8]. Lane `l` holds, of a, rows `l / 4` and that + 8 and columns
// `2 (l % 4)` and that + 8; of b, rows like a's columns and column `l / 4`; of c, rows like a's and
// columns `2 (l % 4)`; pairs are neighbours along a row of a and c, along a column of b.
template <typename T>
inline void multiply_fragments(void **lanes) {
    float a[16][16], b[16][8];
    for (int lane = 0; lane < 32; ++lane) {
        const Fragment &of = *static_cast<Fragment *>(lanes[lane]);
        const int group = lane / 4, pair = lane % 4 * 2;
        for (int i = 0; i < 2; ++i) {
            for (int part = 0; part < 4; ++part) {
                a[group + part % 2 * 8][pair + part / 2 * 8 + i] = half_of<T>(of.a[part], i);
            }
            b[pair + i][group] = half_of<T>(of.b[0], i);
            b[pair + 8 + i][group] = half_of<T>(of.b[1], i);
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        float *c = static_cast<Fragment *>(lanes[lane])->c;
        for (int i = 0; i < 4; ++i) {
            const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
            float sum = 0.0f;
            for (int k = 0; k < 16; ++k) {
                sum += a[row][k] * b[k][column];
            }
            c[i] += sum;
        }
    }
}

template <typename T>
inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, T) {
    Fragment mine = {c, a, {b0, b1}};
    emulation::as_warp(&mine, multiply_fragments<T>);
}

struct Shuffle {
    float value, result;
    int lanes;
};

inline void shuffle_values(void **lanes) {
    for (int lane = 0; lane < 32; ++lane) {
        Shuffle &mine = *static_cast<Shuffle *>(lanes[lane]);
        mine.result = static_cast<Shuffle *>(lanes[lane ^ mine.lanes])->value;
    }
}

inline float shuffle_xor(float x, int lanes) {
    Shuffle mine = {x, x, lanes};
    emulation::as_warp(&mine, shuffle_values);
    return mine.result;
}
