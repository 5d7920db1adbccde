// /v1/blobs: files by content.
#include "api/answers.h"
#include "api/handlers.h"
#include "base/limits.h"
#include "runs/blobs.h"

namespace tare::api {

namespace {

// What is collected before it is handed to a thread that writes it.
constexpr std::size_t kBatchBytes = std::size_t{1} << 20;

Result<> receive(Services& services, Exchange& exchange, runs::BlobWriter& writer) {
  std::string batch;
  for (;;) {
    const std::string_view bytes = TRY(exchange.read());
    batch += bytes;
    if (!bytes.empty() && batch.size() < kBatchBytes) continue;
    if (!batch.empty()) {
      TRY(services.deps.offload.run([&] { return writer.write(std::string_view(batch)); },
                                    exchange.context()));
    }
    if (bytes.empty()) return ok();
    batch.clear();
  }
}

}  // namespace

Result<> create_blob(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"digest"}));
  const std::string expected = text_or_empty(exchange.query(), "digest");
  if (!expected.empty() && !is_digest(expected)) {
    return field_error("digest", parse_digest(expected).error().message);
  }
  auto writer = TRY(services.blobs.create(expected, kMaxUploadBytes));
  TRY(receive(services, exchange, writer));
  const auto blob = TRY(
      services.deps.offload.run([&] { return writer.finish(); }, exchange.context()));
  return reply_json(exchange, 201, JsonObject{{"digest", blob.digest}, {"size", blob.size}});
}

Result<> head_blob(Services& services, Exchange& exchange) {
  const std::string& digest = exchange.parameter("digest");
  if (!is_digest(digest)) return Error{Errc::not_found, "not a digest"};
  // Who asks is about to use it.
  const auto blob = TRY(services.blobs.renew(digest));
  return exchange.start(200, {{"Content-Type", "application/octet-stream"}}, blob.size);
}

}  // namespace tare::api
