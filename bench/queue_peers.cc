// SPDX-License-Identifier: MIT
// queue_peers.cc - the queue's peers in C++: boost.lockfree, moodycamel, TBB, as far as they are installed
#include "queue_peer.h"

#if defined(__has_include)
#if __has_include(<boost/lockfree/queue.hpp>)
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#define HAVE_BOOST_LOCKFREE 1
#endif
#if __has_include(<concurrentqueue/moodycamel/concurrentqueue.h>)
#include <concurrentqueue/moodycamel/concurrentqueue.h>
#define HAVE_MOODYCAMEL 1
#elif __has_include(<concurrentqueue/concurrentqueue.h>)
#include <concurrentqueue/concurrentqueue.h>
#define HAVE_MOODYCAMEL 1
#endif
#endif

#include <cstring>

namespace {

template <size_t N> struct message {
    char data[N];
};

// One queue for each size, behind one interface.
struct base {
    virtual ~base() = default;
    virtual bool push(const void *data) = 0;
    virtual bool pop(void *data) = 0;
};

#ifdef HAVE_BOOST_LOCKFREE
template <size_t N> struct boost_spsc : base {
    boost::lockfree::spsc_queue<message<N>> q;
    explicit boost_spsc(size_t capacity) : q(capacity) {}
    bool push(const void *data) override { return q.push(*static_cast<const message<N> *>(data)); }
    bool pop(void *data) override { return q.pop(*static_cast<message<N> *>(data)); }
};

template <size_t N> struct boost_mpmc : base {
    boost::lockfree::queue<message<N>> q;
    explicit boost_mpmc(size_t capacity) : q(capacity < 65535 ? capacity : 65534) {}
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
    explicit moody(size_t capacity) : q(capacity) {}
    bool push(const void *data) override
    {
        return q.try_enqueue(*static_cast<const message<N> *>(data));
    }
    bool pop(void *data) override { return q.try_dequeue(*static_cast<message<N> *>(data)); }
};
#endif

template <template <size_t> class Q> void *open(size_t capacity, size_t size, enum policy)
{
    switch (size) {
    case 16:
        return static_cast<base *>(new Q<16>(capacity));
    case 64:
        return static_cast<base *>(new Q<64>(capacity));
    case 256:
        return static_cast<base *>(new Q<256>(capacity));
    default:
        return static_cast<base *>(new Q<1024>(capacity));
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

[[maybe_unused]] void close(void *queue)
{
    delete static_cast<base *>(queue);
}

} // namespace

extern "C" const struct peer cxx_peers[] = {
#ifdef HAVE_BOOST_LOCKFREE
    {"boost spsc", 1, 1, open<boost_spsc>, push, pop, close, nullptr},
    {"boost queue", 1, 1000, open<boost_mpmc>, push, pop, close, nullptr},
#endif
#ifdef HAVE_MOODYCAMEL
    {"moodycamel", 1, 1000, open<moody>, push, pop, close, nullptr},
#endif
    {nullptr, 0, 0, nullptr, nullptr, nullptr, nullptr, nullptr},
};
