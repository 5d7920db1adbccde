#include "sandbox/make/protocol.h"

#include "base/hash.h"
#include "base/limits.h"

namespace tare::sandbox {

namespace {

constexpr std::size_t kMaxCgroupName = 32;

Result<MakeOrder> take_make(WireReader& in) {
  MakeOrder order;
  order.number = TRY(in.u32("number"));
  order.uid_base = TRY(in.u32("uid_base"));
  order.cgroup = TRY(in.text("cgroup", kMaxCgroupName));
  order.base = TRY(take_base(in));
  return order;
}

// Those that say nothing but which sandbox, and how it went.
template <class Order>
Result<Order> take_order(WireReader& in) {
  Order order;
  order.number = TRY(in.u32("number"));
  order.cgroup = TRY(in.text("cgroup", kMaxCgroupName));
  return order;
}
Result<SwapOrder> take_swap(WireReader& in) {
  SwapOrder order = TRY(take_order<SwapOrder>(in));
  order.uid_base = TRY(in.u32("uid_base"));
  order.pid = TRY(in.u32("pid"));
  order.runner = TRY(in.text("runner", kDigestTextBytes));
  if (!is_digest(order.runner)) return Error{Errc::invalid, "runner: not a digest"};
  order.own = TRY(take_digests(in, "own"));
  return order;
}
template <class Answer>
Result<Answer> take_answer(WireReader& in) {
  Answer answer;
  answer.number = TRY(in.u32("number"));
  answer.error = TRY(in.text("error", kMaxMessageBytes));
  return answer;
}

template <class Order>
void put(WireWriter& out, const Order& order) {
  out.u32(order.number);
  out.text("cgroup", order.cgroup, kMaxCgroupName);
}
void put(WireWriter& out, const MakeOrder& order) {
  out.u32(order.number);
  out.u32(order.uid_base);
  out.text("cgroup", order.cgroup, kMaxCgroupName);
  put_base(out, order.base);
}
void put(WireWriter& out, const SwapOrder& order) {
  out.u32(order.number);
  out.text("cgroup", order.cgroup, kMaxCgroupName);
  out.u32(order.uid_base);
  out.u32(order.pid);
  out.text("runner", order.runner, kDigestTextBytes);
  put_digests(out, order.own, "own");
}
template <class Answer>
void put_answer(WireWriter& out, const Answer& answer) {
  out.u32(answer.number);
  if constexpr (std::is_same_v<Answer, Made>) out.u32(answer.pid);
  out.text("error", answer.error.substr(0, kMaxMessageBytes), kMaxMessageBytes);
  if constexpr (std::is_same_v<Answer, Made>) out.boolean(answer.moved);
  if constexpr (std::is_same_v<Answer, Stopped>) out.u32(answer.processes);
  if constexpr (std::is_same_v<Answer, Swapped>) {
    out.boolean(answer.touched);
    out.boolean(answer.as_made);
  }
}

Result<ToMaker> take_to_maker(WireReader& in) {
  switch (TRY(in.u8("type"))) {
    case 0: return ToMaker(TRY(take_make(in)));
    case 1: return ToMaker(TRY(take_order<RemoveOrder>(in)));
    case 2: return ToMaker(TRY(take_order<StopOrder>(in)));
    case 3: return ToMaker(TRY(take_swap(in)));
    default: return Error{Errc::invalid, "type: unknown order"};
  }
}

Result<FromMaker> take_from_maker(WireReader& in) {
  switch (TRY(in.u8("type"))) {
    case 0: {
      Made made;
      made.number = TRY(in.u32("number"));
      made.pid = TRY(in.u32("pid"));
      made.error = TRY(in.text("error", kMaxMessageBytes));
      made.moved = TRY(in.boolean("moved"));
      return FromMaker(std::move(made));
    }
    case 1: return FromMaker(TRY(take_answer<Removed>(in)));
    case 2: {
      Stopped stopped = TRY(take_answer<Stopped>(in));
      stopped.processes = TRY(in.u32("processes"));
      return FromMaker(std::move(stopped));
    }
    case 3: {
      Swapped swapped = TRY(take_answer<Swapped>(in));
      swapped.touched = TRY(in.boolean("touched"));
      swapped.as_made = TRY(in.boolean("as_made"));
      return FromMaker(std::move(swapped));
    }
    default: return Error{Errc::invalid, "type: unknown answer"};
  }
}

template <class Message>
Result<Message> whole(WireReader& in, Result<Message> message) {
  if (message) TRY(in.finish());
  return message;
}

}  // namespace

Result<std::string> encode_to_maker(const ToMaker& message) {
  WireWriter out;
  out.u8(static_cast<std::uint8_t>(message.index()));
  std::visit([&out](const auto& order) { put(out, order); }, message);
  return out.finish();
}

Result<std::string> encode_from_maker(const FromMaker& message) {
  WireWriter out;
  out.u8(static_cast<std::uint8_t>(message.index()));
  std::visit([&out](const auto& answer) { put_answer(out, answer); }, message);
  return out.finish();
}

Result<ToMaker> decode_to_maker(std::string_view bytes) {
  WireReader in(bytes);
  auto message = take_to_maker(in);
  return whole(in, std::move(message));
}

Result<FromMaker> decode_from_maker(std::string_view bytes) {
  WireReader in(bytes);
  auto message = take_from_maker(in);
  return whole(in, std::move(message));
}

}  // namespace tare::sandbox
