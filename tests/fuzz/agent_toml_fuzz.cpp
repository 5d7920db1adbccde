// agent.toml as a hostile client could send it. Whatever it holds: an error that can be printed and
// names the file, or a manifest within its bounds whose record reads back the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "base/toml.h"
#include "model/agent.h"
#include "model/limits_json.h"
#include "model/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tare;
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  const auto document = TomlDocument::parse(text, "agent.toml");
  if (document.ok()) {
    const auto again = parse_json(to_text(document->value()));
    CHECK(again.ok() && *again == document->value());
  }

  const auto manifest = model::parse_agent_toml(text);
  if (!manifest.ok()) {
    CHECK(manifest.error().message.starts_with("agent.toml"));
    CHECK(is_utf8(manifest.error().message));
    return 0;
  }
  CHECK(document.ok());
  CHECK(model::check_limits(manifest->limits).ok());
  CHECK(model::check_argv("entry", manifest->entry).ok());
  CHECK(model::check_env("env", manifest->env).ok());
  const auto record = parse_json(model::canonical_text(*manifest));
  CHECK(record.ok());
  const auto again = model::read_agent_manifest(Node(*record));
  CHECK(again.ok() && *again == *manifest);
  return 0;
}
