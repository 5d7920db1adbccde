// The wire form of the protocol's messages: fields that several of them share, and how one of a
// variant is written and read. Private to protocol*.cpp. Errors: as protocol.h.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/wire.h"
#include "snapshot/protocol.h"

namespace tare::snapshot {

inline constexpr std::size_t kMaxRunBytes = 64;

void put(WireWriter& w, const TreeLimits& limits);
void put_config(WireWriter& w, const model::ImageConfig& config);
void put(WireWriter& w, const TarCounts& dropped);
void put_paths(WireWriter& w, std::string_view field, const std::vector<std::string>& paths);
void put(WireWriter& w, const LayerInfo& layer);
void put(WireWriter& w, const Hello& hello);
void put_digests(WireWriter& w, const std::vector<std::string>& layers,
                 std::size_t most = kMaxFrozenLayers);

Result<TreeLimits> take_limits(WireReader& r);
Result<std::string> take_digest(WireReader& r);
Result<std::string> take_run(WireReader& r);
Result<std::uint64_t> take_timeout(WireReader& r);
Result<std::vector<std::string>> take_digests(WireReader& r, std::size_t most = kMaxFrozenLayers);
Result<model::ImageConfig> take_config(WireReader& r);
Result<TarCounts> take_counts(WireReader& r);
Result<std::vector<std::string>> take_paths(WireReader& r, std::string_view field);
Result<LayerInfo> take_layer(WireReader& r);
Result<Hello> take_hello(WireReader& r);

// `put_one` writes any of the variant's.
template <class Message, class Put>
Result<std::string> encode_message(const Message& message, const Put& put_one) {
  WireWriter w;
  w.u8(static_cast<std::uint8_t>(message.index()));
  std::visit([&](const auto& m) { put_one(w, m); }, message);
  return w.finish();
}

template <class Message, std::size_t N>
Result<Message> decode_message(std::string_view bytes,
                               Result<Message> (*const (&takers)[N])(WireReader&)) {
  WireReader r(bytes);
  const std::uint8_t type = TRY(r.u8("type"));
  if (type >= N)
    return Error{Errc::invalid, "message field type: unknown message " + std::to_string(type)};
  Message message = TRY(takers[type](r));
  TRY(r.finish());
  return message;
}

}  // namespace tare::snapshot
