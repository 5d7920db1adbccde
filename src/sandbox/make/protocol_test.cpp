#include "sandbox/make/protocol.h"

namespace tare::sandbox {
namespace {

MakeOrder make_order() {
  MakeOrder order;
  order.number = 0xFFFF'FFFF;
  order.uid_base = 0x7001'0000;
  order.cgroup = "s12-3";
  order.base.plan = "sha256:" + std::string(64, '1');
  order.base.layers = {"sha256:" + std::string(64, '0'), "sha256:" + std::string(64, 'f')};
  order.base.network = model::Network::host;
  order.base.limits.pids = 77;
  return order;
}

TEST(MakerProtocol, an_order_to_make_is_read_as_it_was_written) {
  const auto decoded = decode_to_maker(encode_to_maker(make_order()).value());
  ASSERT_TRUE(decoded) << decoded.error().message;
  const auto& order = std::get<MakeOrder>(*decoded);
  EXPECT_EQ(order.number, 0xFFFF'FFFFU);
  EXPECT_EQ(order.uid_base, 0x7001'0000U);
  EXPECT_EQ(order.cgroup, "s12-3");
  EXPECT_EQ(key_of(order.base), key_of(make_order().base));
  EXPECT_EQ(order.base.limits, make_order().base.limits);
}

TEST(MakerProtocol, an_order_to_remove_is_read_as_it_was_written) {
  const auto decoded = decode_to_maker(encode_to_maker(RemoveOrder{7, "s0-1"}).value());
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(std::get<RemoveOrder>(*decoded).number, 7U);
  EXPECT_EQ(std::get<RemoveOrder>(*decoded).cgroup, "s0-1");
}

TEST(MakerProtocol, answers_are_read_as_they_were_written) {
  const auto made = decode_from_maker(encode_from_maker(Made{7, 4'194'304, "why", true}).value());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(std::get<Made>(*made).number, 7U);
  EXPECT_EQ(std::get<Made>(*made).pid, 4'194'304U);
  EXPECT_EQ(std::get<Made>(*made).error, "why");
  const auto removed = decode_from_maker(encode_from_maker(Removed{8, ""}).value());
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_EQ(std::get<Removed>(*removed).number, 8U);
  EXPECT_EQ(std::get<Removed>(*removed).error, "");
}

TEST(MakerProtocol, an_order_to_swap_and_its_answer_are_read_as_they_were_written) {
  const std::string digest = "sha256:" + std::string(64, 'c');
  const auto order = decode_to_maker(
      encode_to_maker(SwapOrder{7, "s0-1", 0x7001'0000, 42, digest, {digest}}).value());
  ASSERT_TRUE(order) << order.error().message;
  EXPECT_EQ(std::get<SwapOrder>(*order).uid_base, 0x7001'0000U);
  EXPECT_EQ(std::get<SwapOrder>(*order).pid, 42U);
  EXPECT_EQ(std::get<SwapOrder>(*order).runner, digest);
  EXPECT_EQ(std::get<SwapOrder>(*order).own, std::vector{digest});
  EXPECT_FALSE(decode_to_maker(encode_to_maker(SwapOrder{7, "s0-1", 1, 2, "../x"}).value()));
  const auto answer = decode_from_maker(encode_from_maker(Swapped{7, "why", true, true}).value());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(std::get<Swapped>(*answer).error, "why");
  EXPECT_TRUE(std::get<Swapped>(*answer).touched);
  EXPECT_TRUE(std::get<Swapped>(*answer).as_made);
}

TEST(MakerProtocol, an_order_to_stop_and_its_answer_are_read_as_they_were_written) {
  const auto order = decode_to_maker(encode_to_maker(StopOrder{7, "s0-1"}).value());
  ASSERT_TRUE(order) << order.error().message;
  EXPECT_EQ(std::get<StopOrder>(*order).number, 7U);
  EXPECT_EQ(std::get<StopOrder>(*order).cgroup, "s0-1");
  const auto stopped = decode_from_maker(encode_from_maker(Stopped{8, "why", 3}).value());
  ASSERT_TRUE(stopped) << stopped.error().message;
  EXPECT_EQ(std::get<Stopped>(*stopped).number, 8U);
  EXPECT_EQ(std::get<Stopped>(*stopped).error, "why");
  EXPECT_EQ(std::get<Stopped>(*stopped).processes, 3U);
}

TEST(MakerProtocol, an_error_of_any_length_can_be_told) {
  const std::string long_text(1 << 20, 'x');
  for (const FromMaker& answer :
       {FromMaker(Made{1, 2, long_text, false}), FromMaker(Removed{1, long_text})}) {
    const auto bytes = encode_from_maker(answer);
    ASSERT_TRUE(bytes);
    EXPECT_LT(bytes->size(), 64U << 10);
    EXPECT_TRUE(decode_from_maker(*bytes));
  }
}

TEST(MakerProtocol, cut_short_or_longer_messages_are_refused) {
  for (const ToMaker& order :
       {ToMaker(make_order()), ToMaker(RemoveOrder{7, "s0-1"}), ToMaker(StopOrder{7, "s0-1"})}) {
    const std::string bytes = encode_to_maker(order).value();
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(decode_to_maker(std::string_view(bytes).substr(0, size))) << size;
    EXPECT_FALSE(decode_to_maker(bytes + "x"));
  }
  for (const FromMaker& answer : {FromMaker(Made{7, 8, "why", false}), FromMaker(Removed{7, "why"}),
                                  FromMaker(Stopped{7, "why"})}) {
    const std::string bytes = encode_from_maker(answer).value();
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(decode_from_maker(std::string_view(bytes).substr(0, size))) << size;
    EXPECT_FALSE(decode_from_maker(bytes + "x"));
  }
}

TEST(MakerProtocol, unknown_types_are_refused) {
  for (const char type : {'\3', '\x7f', '\xff'}) {
    EXPECT_FALSE(decode_to_maker(std::string(1, type) + std::string(8, '\0')));
    EXPECT_FALSE(decode_from_maker(std::string(1, type) + std::string(8, '\0')));
  }
}

TEST(MakerProtocol, layers_that_are_not_digests_and_limits_out_of_bounds_are_refused) {
  MakeOrder order = make_order();
  order.base.layers = {"sha256:" + std::string(60, '0') + "/../"};
  EXPECT_FALSE(decode_to_maker(encode_to_maker(order).value()));
  order = make_order();
  order.base.plan = "plan";
  EXPECT_FALSE(decode_to_maker(encode_to_maker(order).value()));
  order = make_order();
  order.base.limits.pids = 0;
  EXPECT_FALSE(decode_to_maker(encode_to_maker(order).value()));
}

TEST(MakerProtocol, a_name_that_is_too_long_for_a_cgroup_is_not_written) {
  EXPECT_FALSE(encode_to_maker(RemoveOrder{7, std::string(33, 's')}));
}

}  // namespace
}  // namespace tare::sandbox
