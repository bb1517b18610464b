// What the kernels are written in: on a GPU the instructions themselves (sm_80 and later), on a
// processor their emulation, so that one source runs in both places.
#pragma once

#include <stdint.h>

typedef long long i64;

#if defined(__CUDACC__)

#include <cuda_bf16.h>
#include <cuda_fp16.h>

typedef __nv_bfloat16 bf16;
typedef __half f16;

#define DEVICE __device__ __forceinline__
// An entry point that is launched with exactly `threads` threads a block.
#define KERNEL(name, threads, ...) \
    extern "C" __global__ void __launch_bounds__(threads) name(__VA_ARGS__)

DEVICE unsigned char *shared_memory() {
    extern __shared__ __align__(128) unsigned char memory[];
    return memory;
}

DEVICE float widen(float x) { return x; }
DEVICE float widen(bf16 x) { return __bfloat162float(x); }
DEVICE float widen(f16 x) { return __half2float(x); }

DEVICE void narrow(float x, float &y) { y = x; }
DEVICE void narrow(float x, bf16 &y) { y = __float2bfloat16_rn(x); }
DEVICE void narrow(float x, f16 &y) { y = __float2half_rn(x); }

DEVICE float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

DEVICE uint32_t shared_address(const void *pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Copies 16 bytes to shared memory without waiting; `bytes` 0 writes zeros and reads nothing.
DEVICE void copy_async(void *to, const void *from, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(bytes)
                 : "memory");
}

DEVICE void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `PENDING` groups of this thread's copies are under way.
template <int PENDING>
DEVICE void copies_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Four 8 x 8 matrices of 16-bit values; lane `8 i + j` names row `j` of matrix `i`.
DEVICE void load_matrices(uint32_t (&to)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// The same, each matrix transposed.
DEVICE void load_matrices_transposed(uint32_t (&to)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

DEVICE uint32_t pack(float low, float high, bf16) {
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t *>(&pair);
}

DEVICE uint32_t pack(float low, float high, f16) {
    __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<uint32_t *>(&pair);
}

// `c += a b` of a warp: a 16 x 16, b 16 x 8, c 16 x 8 in f32.
DEVICE void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, bf16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

DEVICE void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, f16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

DEVICE float shuffle_xor(float x, int lanes) { return __shfl_xor_sync(0xffffffffu, x, lanes); }

#else

#include "emulation/instructions.h"

#endif

DEVICE float minus_infinity() { return -__builtin_huge_valf(); }

// `N` neighbouring values that are read and written at once.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
    T at[N];
};

// Values of a pack of 16 bytes.
template <typename T>
struct Wide {
    static constexpr int COUNT = 16 / sizeof(T);
    typedef Pack<T, COUNT> Type;
};

// True if all of these addresses are multiples of 16; a missing argument is.
DEVICE bool aligned(const void *a, const void *b = nullptr, const void *c = nullptr,
                    const void *d = nullptr) {
    const uintptr_t bits = reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b) |
                           reinterpret_cast<uintptr_t>(c) | reinterpret_cast<uintptr_t>(d);
    return bits % 16 == 0;
}

template <typename T>
DEVICE T narrowed(float x) {
    T y;
    narrow(x, y);
    return y;
}
