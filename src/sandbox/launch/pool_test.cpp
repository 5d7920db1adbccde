#include "sandbox/launch/pool.h"

#include <fcntl.h>

namespace tare::sandbox {
namespace {

constexpr std::uint64_t kMs = 1'000;
constexpr std::uint64_t kSecond = 1'000'000;
constexpr std::uint64_t kMinute = 60 * kSecond;
constexpr std::size_t kMost = 16;

// A kind of sandbox: its root is the layer with this number.
SandboxBase kind(int number) {
  SandboxBase base;
  base.plan = "sha256:" + std::string(64, '1');
  base.layers = {"sha256:" + std::string(60, '0') + std::to_string(1000 + number)};
  base.limits.disk_bytes = base.limits.memory_bytes / 4;
  return base;
}

// The launcher's part: makes at once what is wanted, and ends what is too much.
class Pool : public ::testing::Test {
 protected:
  using Number = std::optional<std::uint32_t>;

  Number take(const SandboxBase& base) { return pool_.take(base, now_us_); }

  int make_wanted() {
    int made = 0;
    for (; const auto base = pool_.wanted(now_us_); ++made) {
      pool_.making(key_of(*base));
      EXPECT_TRUE(pool_.ready(key_of(*base), ++last_));
    }
    return made;
  }
  void pass(std::uint64_t us) { now_us_ += us; }
  // Time without launches, as the launcher sees it: it looks whenever there may be news.
  void pass_slowly(std::uint64_t us) {
    for (const std::uint64_t until = now_us_ + us; now_us_ < until;) {
      pass(kSecond);
      ended_ += pool_.surplus(now_us_).size();
      make_wanted();
    }
  }
  // A launch and a quiet moment after it.
  Number launch(const SandboxBase& base) {
    const Number number = take(base);
    pass(10 * kMs);
    make_wanted();
    return number;
  }

  WarmPool pool_{kMost, kMost};
  std::uint64_t now_us_ = 1000 * kSecond;
  std::uint32_t last_ = 0;
  std::size_t ended_ = 0;
};

TEST_F(Pool, nothing_waits_before_the_first_launch_of_a_kind) {
  EXPECT_EQ(make_wanted(), 0);
  EXPECT_EQ(take(kind(1)), std::nullopt);
}

TEST_F(Pool, a_kind_that_is_used_gets_two_ahead) {
  (void)launch(kind(1));
  EXPECT_EQ(pool_.idle(), 2U);
}

TEST_F(Pool, what_waited_longest_is_given_first_and_once) {
  (void)launch(kind(1));
  EXPECT_EQ(take(kind(1)), 1U);
  EXPECT_EQ(take(kind(1)), 2U);
  EXPECT_EQ(take(kind(1)), std::nullopt);
}

TEST_F(Pool, a_kind_is_never_given_another_ones) {
  (void)launch(kind(1));
  EXPECT_EQ(take(kind(2)), std::nullopt);
  EXPECT_EQ(pool_.idle(), 2U);
}

TEST_F(Pool, what_was_taken_is_made_again) {
  (void)launch(kind(1));
  EXPECT_TRUE(launch(kind(1)));
  EXPECT_EQ(pool_.idle(), 2U);
}

TEST_F(Pool, each_launch_that_finds_none_doubles_what_is_wanted_up_to_the_most) {
  for (const std::size_t wanted : {2U, 4U, 8U, 16U, 16U}) {
    while (take(kind(1))) {
    }
    pass(kSecond);
    make_wanted();
    EXPECT_EQ(pool_.idle(), wanted);
  }
}

TEST_F(Pool, what_is_being_made_counts_as_what_waits) {
  (void)take(kind(1));
  pass(kSecond);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(pool_.wanted(now_us_));
    pool_.making(key_of(kind(1)));
  }
  EXPECT_FALSE(pool_.wanted(now_us_));
  EXPECT_EQ(pool_.being_made(), 2U);
}

TEST_F(Pool, half_of_what_was_not_needed_for_a_minute_is_ended) {
  for (int i = 0; i < 3; ++i) {
    while (take(kind(1))) {
    }
    pass(kSecond);
    make_wanted();
  }
  ASSERT_EQ(pool_.idle(), 8U);
  pass_slowly(kMinute);  // some were needed in this one
  pass_slowly(kMinute);
  EXPECT_EQ(pool_.idle(), 4U);
  pass_slowly(kMinute);
  EXPECT_EQ(pool_.idle(), 2U);
  pass_slowly(kMinute);
  EXPECT_EQ(pool_.idle(), 2U);  // as long as the kind is known
  EXPECT_EQ(ended_, 6U);
}

TEST_F(Pool, what_is_needed_every_minute_stays) {
  for (int i = 0; i < 2; ++i) {
    while (take(kind(1))) {
    }
    pass(kSecond);
    make_wanted();
  }
  ASSERT_EQ(pool_.idle(), 4U);
  for (int minute = 0; minute < 5; ++minute) {
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(take(kind(1)));
    pass_slowly(kMinute);
    EXPECT_EQ(pool_.idle(), 4U) << minute;
  }
  EXPECT_EQ(ended_, 0U);
}

TEST_F(Pool, a_kind_that_nobody_used_for_ten_minutes_is_forgotten) {
  (void)launch(kind(1));
  pool_.keep_plan(key_of(kind(1)), sys::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  EXPECT_GE(pool_.plan(key_of(kind(1))), 0);
  pass_slowly(9 * kMinute);
  EXPECT_EQ(pool_.idle(), 2U);
  pass_slowly(kMinute);
  EXPECT_EQ(pool_.idle(), 0U);
  EXPECT_EQ(pool_.plan(key_of(kind(1))), -1);
  EXPECT_EQ(pool_.next_change_us(now_us_), 0U);
  EXPECT_EQ(take(kind(1)), std::nullopt);
}

TEST_F(Pool, what_becomes_ready_after_its_kind_was_forgotten_is_ended) {
  (void)take(kind(1));
  pool_.making(key_of(kind(1)));
  pass(11 * kMinute);
  EXPECT_TRUE(pool_.surplus(now_us_).empty());
  EXPECT_EQ(pool_.next_change_us(now_us_), 0U);  // nothing to look at while it is being made
  EXPECT_TRUE(pool_.ready(key_of(kind(1)), 7));
  EXPECT_EQ(pool_.surplus(now_us_), std::vector<std::uint32_t>{7});
  EXPECT_FALSE(pool_.ready(key_of(kind(1)), 8));
}

TEST_F(Pool, beyond_the_most_the_kind_that_was_used_longest_ago_gives_way) {
  for (int number = 1; number <= 8; ++number) (void)launch(kind(number));
  ASSERT_EQ(pool_.idle(), kMost);
  (void)take(kind(9));
  pass(10 * kMs);
  EXPECT_EQ(make_wanted(), 0);  // there is no room
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(pool_.surplus(now_us_).size(), 1U);
    EXPECT_EQ(make_wanted(), 1);
  }
  EXPECT_TRUE(pool_.surplus(now_us_).empty());
  EXPECT_EQ(pool_.idle(), kMost);
  EXPECT_TRUE(take(kind(9)));
  EXPECT_TRUE(take(kind(2)));
  EXPECT_EQ(take(kind(1)), std::nullopt);
}

TEST_F(Pool, a_kind_used_longer_ago_never_takes_a_newer_ones_place) {
  (void)take(kind(1));  // wants two, has none
  pass(kSecond);
  pool_.not_made(key_of(kind(1)), now_us_);
  for (int number = 2; number <= 9; ++number) (void)launch(kind(number));
  ASSERT_EQ(pool_.idle(), kMost);
  pass(20 * kSecond);
  EXPECT_TRUE(pool_.surplus(now_us_).empty());
  EXPECT_FALSE(pool_.wanted(now_us_));
}

TEST_F(Pool, the_kind_used_last_is_made_first) {
  (void)take(kind(2));
  pass(1);
  (void)take(kind(1));
  pass(kSecond);
  EXPECT_EQ(key_of(*pool_.wanted(now_us_)), key_of(kind(1)));
}

TEST_F(Pool, after_a_failure_ten_seconds_pass_before_the_next_try) {
  (void)take(kind(1));
  pool_.making(key_of(kind(1)));
  pass(kSecond);
  pool_.not_made(key_of(kind(1)), now_us_);
  EXPECT_EQ(pool_.being_made(), 0U);
  const std::uint64_t failed_us = now_us_;
  pass(9 * kSecond);
  EXPECT_FALSE(pool_.wanted(now_us_));
  EXPECT_EQ(pool_.next_change_us(now_us_), failed_us + 10 * kSecond);
  pass(kSecond);
  EXPECT_TRUE(pool_.wanted(now_us_));
}

TEST_F(Pool, one_that_a_run_has_taken_over_while_it_was_made_is_no_failure) {
  (void)take(kind(1));
  pool_.making(key_of(kind(1)));
  pool_.not_made(key_of(kind(1)), 0);
  pass(10 * kMs);
  EXPECT_TRUE(pool_.wanted(now_us_));
}

TEST_F(Pool, one_that_has_died_is_not_given_out_and_is_made_again) {
  (void)launch(kind(1));
  pool_.gone(key_of(kind(1)), 1);
  EXPECT_EQ(make_wanted(), 1);
  EXPECT_EQ(take(kind(1)), 2U);
}

TEST_F(Pool, with_half_of_a_kind_there_others_are_made_in_quiet_time_only) {
  (void)launch(kind(1));
  (void)take(kind(1));  // one of two is left
  EXPECT_FALSE(pool_.wanted(now_us_));
  EXPECT_EQ(pool_.next_change_us(now_us_), now_us_ + 4 * kMs);
  pass(2 * kMs);
  (void)take(kind(2));                                         // of whatever kind
  EXPECT_EQ(key_of(*pool_.wanted(now_us_)), key_of(kind(2)));  // has none: that cannot wait
  pool_.not_made(key_of(kind(2)), now_us_);
  pass(3 * kMs);
  EXPECT_FALSE(pool_.wanted(now_us_));
  pass(kMs);
  EXPECT_EQ(key_of(*pool_.wanted(now_us_)), key_of(kind(1)));
}

TEST_F(Pool, no_more_are_made_at_once_than_said_and_half_as_many_behind_a_launch) {
  WarmPool pool(kMost, 4);
  for (int number = 1; number <= 3; ++number) (void)pool.take(kind(number), now_us_);
  const auto make = [&] {
    const auto base = pool.wanted(now_us_);
    if (base) pool.making(key_of(*base));
    return base ? key_of(*base) : "";
  };
  const std::string first = make(), second = make();
  EXPECT_NE(first, "");
  EXPECT_NE(second, "");
  EXPECT_EQ(make(), "");
  EXPECT_TRUE(pool.ready(first, 1));
  EXPECT_NE(make(), "");
  EXPECT_EQ(make(), "");
  EXPECT_EQ(pool.next_change_us(now_us_), now_us_ + 4 * kMs);
  pass(4 * kMs);
  EXPECT_NE(make(), "");
  EXPECT_NE(make(), "");
  EXPECT_EQ(make(), "");
  pool.not_made(second, 0);
  EXPECT_NE(make(), "");
}

TEST_F(Pool, a_kind_that_is_expected_is_made_before_its_first_launch) {
  EXPECT_TRUE(pool_.expect(kind(1), now_us_));
  EXPECT_EQ(make_wanted(), 2);
  EXPECT_TRUE(take(kind(1)));
  SandboxBase other = kind(1);
  other.runner = "sha256:" + std::string(64, 'a');
  EXPECT_FALSE(take(other));
  SandboxBase network = kind(1);
  network.network = model::Network::host;
  EXPECT_FALSE(pool_.expect(network, now_us_));
  EXPECT_FALSE(WarmPool(0, 1).expect(kind(1), now_us_));
}

TEST_F(Pool, whether_one_is_there_is_said_when_it_is_certain) {
  const std::string key = key_of(kind(1));
  EXPECT_EQ(pool_.has_one(key, now_us_), std::optional(false));  // nobody has asked for it
  EXPECT_TRUE(pool_.expect(kind(1), now_us_));
  EXPECT_EQ(pool_.has_one(key, now_us_), std::nullopt);  // it will be made
  pool_.making(key);
  EXPECT_EQ(pool_.has_one(key, now_us_), std::nullopt);
  pool_.not_made(key, now_us_);
  EXPECT_EQ(pool_.has_one(key, now_us_), std::optional(false));  // not soon
  now_us_ += 10 * kSecond;
  EXPECT_EQ(make_wanted(), 2);
  EXPECT_EQ(pool_.has_one(key, now_us_), std::optional(true));
}

TEST_F(Pool, nothing_is_kept_with_the_hosts_network_or_on_a_disk_image) {
  SandboxBase network = kind(1);
  network.network = model::Network::host;
  SandboxBase image = kind(1);
  image.limits.disk_bytes = image.limits.memory_bytes;
  for (const SandboxBase& base : {network, image}) {
    EXPECT_FALSE(WarmPool::poolable(base));
    EXPECT_EQ(launch(base), std::nullopt);
    EXPECT_EQ(launch(base), std::nullopt);
    EXPECT_EQ(pool_.idle(), 0U);
  }
}

TEST_F(Pool, limits_that_can_be_changed_at_the_claim_make_no_other_kind) {
  (void)launch(kind(1));
  SandboxBase other = kind(1);
  other.limits.memory_bytes *= 2;
  other.limits.pids = 7;
  EXPECT_TRUE(take(other));
}

TEST_F(Pool, a_pool_of_none_keeps_none) {
  WarmPool none(0, 1);
  EXPECT_EQ(none.take(kind(1), now_us_), std::nullopt);
  EXPECT_FALSE(none.wanted(now_us_ + kMinute));
  EXPECT_EQ(none.next_change_us(now_us_), 0U);
}

TEST_F(Pool, a_pool_of_one_keeps_one) {
  WarmPool one(1, 1);
  (void)one.take(kind(1), now_us_);
  pass(kSecond);
  one.making(key_of(kind(1)));
  EXPECT_TRUE(one.ready(key_of(kind(1)), 1));
  EXPECT_FALSE(one.wanted(now_us_));
  pass(5 * kMinute);
  EXPECT_TRUE(one.surplus(now_us_).empty());
}

TEST_F(Pool, however_many_kinds_come_the_most_is_kept) {
  for (int number = 0; number < 500; ++number) {
    (void)take(kind(number % 90));
    pass(10 * kMs);
    ended_ += pool_.surplus(now_us_).size();
    make_wanted();
    ASSERT_LE(pool_.idle() + pool_.being_made(), kMost);
  }
  pass_slowly(11 * kMinute);
  EXPECT_EQ(pool_.idle(), 0U);
}

}  // namespace
}  // namespace tare::sandbox
