// SPDX-License-Identifier: MIT
// queue_peers.cc - the queue's peers in C++: boost.lockfree, moodycamel, TBB, as far as they are installed
#include "config.h"
#include "queue_peer.h"

#if defined(__has_include)
#if __has_include(<boost/lockfree/queue.hpp>)
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#define HAVE_BOOST_LOCKFREE 1
#endif
#ifdef HAVE_TBB
#include <tbb/concurrent_queue.h>
#endif
#if __has_include(<concurrentqueue/moodycamel/concurrentqueue.h>)
#include <concurrentqueue/moodycamel/concurrentqueue.h>
#define HAVE_MOODYCAMEL 1
#elif __has_include(<concurrentqueue/concurrentqueue.h>)
#include <concurrentqueue/concurrentqueue.h>
#define HAVE_MOODYCAMEL 1
#endif
#endif

#include <atomic>
#include <cstring>

namespace {

template <size_t N> struct message {
    char data[N];
};

// One queue for each size, behind one interface.
struct base {
    std::atomic<uint64_t> dropped{0};
    virtual ~base() = default;
    virtual bool push(const void *data) = 0;
    virtual bool pop(void *data) = 0;
};

#ifdef HAVE_BOOST_LOCKFREE
template <size_t N> struct boost_spsc : base {
    boost::lockfree::spsc_queue<message<N>> q;
    boost_spsc(size_t capacity, enum policy) : q(capacity) {}
    bool push(const void *data) override { return q.push(*static_cast<const message<N> *>(data)); }
    bool pop(void *data) override { return q.pop(*static_cast<message<N> *>(data)); }
};

template <size_t N> struct boost_mpmc : base {
    boost::lockfree::queue<message<N>> q;
    boost_mpmc(size_t capacity, enum policy) : q(capacity < 65535 ? capacity : 65534) {}
    bool push(const void *data) override
    {
        return q.bounded_push(*static_cast<const message<N> *>(data));
    }
    bool pop(void *data) override { return q.pop(*static_cast<message<N> *>(data)); }
};
#endif

#ifdef HAVE_MOODYCAMEL
// FIFO for each producer only; bounded by what it was made with.
template <size_t N> struct moody : base {
    moodycamel::ConcurrentQueue<message<N>> q;
    moody(size_t capacity, enum policy) : q(capacity) {}
    bool push(const void *data) override
    {
        return q.try_enqueue(*static_cast<const message<N> *>(data));
    }
    bool pop(void *data) override { return q.try_dequeue(*static_cast<message<N> *>(data)); }
};
#endif

#ifdef HAVE_TBB
template <size_t N> struct tbb_bounded : base {
    tbb::concurrent_bounded_queue<message<N>> q;
    bool waits;
    tbb_bounded(size_t capacity, enum policy policy) : waits(policy == POLICY_BLOCK)
    {
        q.set_capacity(static_cast<std::ptrdiff_t>(capacity));
    }
    bool push(const void *data) override
    {
        const message<N> &m = *static_cast<const message<N> *>(data);

        if (!waits)
            return q.try_push(m);
        q.push(m);
        return true;
    }
    bool pop(void *data) override { return q.try_pop(*static_cast<message<N> *>(data)); }
};
#endif

template <template <size_t> class Q>
void *open(size_t capacity, size_t size, enum policy policy)
{
    switch (size) {
    case 16:
        return static_cast<base *>(new Q<16>(capacity, policy));
    case 64:
        return static_cast<base *>(new Q<64>(capacity, policy));
    case 256:
        return static_cast<base *>(new Q<256>(capacity, policy));
    default:
        return static_cast<base *>(new Q<1024>(capacity, policy));
    }
}

[[maybe_unused]] bool push(void *queue, const void *data, size_t)
{
    return static_cast<base *>(queue)->push(data);
}

[[maybe_unused]] bool pop(void *queue, void *data, size_t)
{
    return static_cast<base *>(queue)->pop(data);
}

// The oldest message is taken out by whoever finds no room.
[[maybe_unused]] bool push_dropping(void *queue, const void *data, size_t)
{
    base *q = static_cast<base *>(queue);
    char oldest[1024];

    while (!q->push(data))
        if (q->pop(oldest))
            q->dropped.fetch_add(1, std::memory_order_relaxed);
    return true;
}

[[maybe_unused]] uint64_t dropped(void *queue)
{
    return static_cast<base *>(queue)->dropped.load(std::memory_order_relaxed);
}

[[maybe_unused]] void close(void *queue)
{
    delete static_cast<base *>(queue);
}

} // namespace

extern "C" const struct peer cxx_peers[] = {
#ifdef HAVE_BOOST_LOCKFREE
    {"boost spsc", HAS_PLAIN, 1, open<boost_spsc>, push, pop, close, nullptr},
    {"boost queue", HAS_PLAIN, MANY, open<boost_mpmc>, push, pop, close, nullptr},
    {"boost queue", HAS_DROP, MANY, open<boost_mpmc>, push_dropping, pop, close, dropped},
#else
    {"boost.lockfree", 0, 0, nullptr, nullptr, nullptr, nullptr, nullptr},
#endif
#ifdef HAVE_MOODYCAMEL
    {"moodycamel", HAS_PLAIN, MANY, open<moody>, push, pop, close, nullptr},
#else
    {"moodycamel", 0, 0, nullptr, nullptr, nullptr, nullptr, nullptr},
#endif
#ifdef HAVE_TBB
    {"tbb bounded", HAS_PLAIN | HAS_BLOCK, MANY, open<tbb_bounded>, push, pop, close, nullptr},
    {"tbb bounded", HAS_DROP, MANY, open<tbb_bounded>, push_dropping, pop, close, dropped},
#else
    {"tbb", 0, 0, nullptr, nullptr, nullptr, nullptr, nullptr},
#endif
    {nullptr, 0, 0, nullptr, nullptr, nullptr, nullptr, nullptr},
};
