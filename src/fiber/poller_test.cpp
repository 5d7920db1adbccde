#include "fiber/poller.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fiber/test_support.h"

namespace tare::fiber {
namespace {

struct Counter final : Poller::Source {
  void on_events(std::uint32_t events) override {
    ++times;
    seen |= events;
  }
  int times = 0;
  std::uint32_t seen = 0;
};

void look(Poller& poller) { poller.poll(Duration::zero()); }

TEST(Poller, a_message_that_the_other_end_reads_wakes_nobody) {
  const auto poller = std::move(Poller::create()).value();
  Pair pair;
  Counter counter;
  ASSERT_TRUE(poller->add(pair.a.get(), counter).ok());
  char byte = 'x';
  ASSERT_EQ(::write(pair.a.get(), &byte, 1), 1);
  ASSERT_EQ(::read(pair.b.get(), &byte, 1), 1);
  look(*poller);
  EXPECT_EQ(counter.times, 0);

  ASSERT_EQ(::write(pair.b.get(), &byte, 1), 1);
  look(*poller);
  EXPECT_EQ(counter.times, 1);
  EXPECT_EQ(counter.seen, EPOLLIN);
  poller->remove(pair.a.get());
}

TEST(Poller, room_that_there_is_already_is_told_when_it_is_asked_for) {
  const auto poller = std::move(Poller::create()).value();
  Pair pair;
  Counter counter;
  ASSERT_TRUE(poller->add(pair.a.get(), counter).ok());
  ASSERT_TRUE(poller->tell_writable(pair.a.get(), counter).ok());
  look(*poller);
  EXPECT_EQ(counter.seen, EPOLLOUT);
  poller->remove(pair.a.get());
}

}  // namespace
}  // namespace tare::fiber
