// The threads of a block as fibres of one processor thread.
//
// A fibre runs until it waits for its warp or its block. Which one goes on then is the caller's
// choice, so a block can be run in several orders: between two barriers threads of a GPU have none,
// and a kernel whose result depends on it has a race.
#pragma once

#include <setjmp.h>
#include <stdint.h>
#include <ucontext.h>

#include <string>
#include <vector>

namespace emulation {

struct Index {
    unsigned x, y, z;
};

struct Copy {
    void *to;
    const void *from;
    int bytes;
};

typedef void (*WarpWork)(void **lanes);

struct Fibre {
    enum State { READY, IN_WARP, AT_BARRIER, DONE };

    State state;
    bool started;
    Index thread;
    jmp_buf place;
    ucontext_t entry;
    // What this lane brings to an instruction of its warp.
    WarpWork work;
    void *lane;
    // Asynchronous copies: those since the last commit, and the groups before.
    std::vector<Copy> queue;
    std::vector<std::vector<Copy>> groups;
};

enum Order { FORWARD, REVERSED, SHUFFLED };

Fibre &current();
Index thread_index();
Index block_index();
unsigned char *shared();
void block_barrier();
// Waits for the other lanes of the warp, which must come with the same work; it is then done once.
void as_warp(void *lane, WarpWork work);

// An argument of a kernel.
struct Argument {
    void *buffer;
    long long integer;
    float number;
};

template <typename T>
struct Take;
template <typename T>
struct Take<T *> {
    static T *from(const Argument &a) { return static_cast<T *>(a.buffer); }
};
template <>
struct Take<long long> {
    static long long from(const Argument &a) { return a.integer; }
};
template <>
struct Take<float> {
    static float from(const Argument &a) { return a.number; }
};

struct Entry {
    std::string name;
    unsigned threads;
    size_t arguments;
    void (*kernel)();
    void (*call)(void (*kernel)(), const std::vector<Argument> &arguments);
};

std::vector<Entry> &entries();

template <typename... P>
struct Caller {
    template <size_t... I>
    static void with(void (*kernel)(P...), const std::vector<Argument> &a, std::index_sequence<I...>) {
        kernel(Take<P>::from(a[I])...);
    }
    static void call(void (*kernel)(), const std::vector<Argument> &arguments) {
        with(reinterpret_cast<void (*)(P...)>(kernel), arguments, std::index_sequence_for<P...>());
    }
};

struct Registered {
    template <typename... P>
    Registered(const char *name, unsigned threads, void (*kernel)(P...)) {
        entries().push_back({name, threads, sizeof...(P), reinterpret_cast<void (*)()>(kernel),
                             Caller<P...>::call});
    }
};

} // namespace emulation
