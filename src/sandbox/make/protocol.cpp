#include "sandbox/make/protocol.h"

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

Result<ToMaker> take_to_maker(WireReader& in) {
  switch (TRY(in.u8("type"))) {
    case 0: return ToMaker(TRY(take_make(in)));
    case 1: {
      RemoveOrder order;
      order.number = TRY(in.u32("number"));
      order.cgroup = TRY(in.text("cgroup", kMaxCgroupName));
      return ToMaker(std::move(order));
    }
    case 2: {
      StopOrder order;
      order.number = TRY(in.u32("number"));
      order.cgroup = TRY(in.text("cgroup", kMaxCgroupName));
      return ToMaker(std::move(order));
    }
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
      return FromMaker(std::move(made));
    }
    case 1: {
      Removed removed;
      removed.number = TRY(in.u32("number"));
      removed.error = TRY(in.text("error", kMaxMessageBytes));
      return FromMaker(std::move(removed));
    }
    case 2: {
      Stopped stopped;
      stopped.number = TRY(in.u32("number"));
      stopped.error = TRY(in.text("error", kMaxMessageBytes));
      return FromMaker(std::move(stopped));
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
  if (const auto* make = std::get_if<MakeOrder>(&message)) {
    out.u32(make->number);
    out.u32(make->uid_base);
    out.text("cgroup", make->cgroup, kMaxCgroupName);
    put_base(out, make->base);
  } else if (const auto* remove = std::get_if<RemoveOrder>(&message)) {
    out.u32(remove->number);
    out.text("cgroup", remove->cgroup, kMaxCgroupName);
  } else {
    const auto& stop = std::get<StopOrder>(message);
    out.u32(stop.number);
    out.text("cgroup", stop.cgroup, kMaxCgroupName);
  }
  return out.finish();
}

Result<std::string> encode_from_maker(const FromMaker& message) {
  WireWriter out;
  out.u8(static_cast<std::uint8_t>(message.index()));
  if (const auto* made = std::get_if<Made>(&message)) {
    out.u32(made->number);
    out.u32(made->pid);
    out.text("error", made->error.substr(0, kMaxMessageBytes), kMaxMessageBytes);
  } else if (const auto* removed = std::get_if<Removed>(&message)) {
    out.u32(removed->number);
    out.text("error", removed->error.substr(0, kMaxMessageBytes), kMaxMessageBytes);
  } else {
    const auto& stopped = std::get<Stopped>(message);
    out.u32(stopped.number);
    out.text("error", stopped.error.substr(0, kMaxMessageBytes), kMaxMessageBytes);
  }
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
