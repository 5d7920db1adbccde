// /v1/runs/{id}/files: files of a live sandbox, worked on from inside it (host/sandbox_files.h).
#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "api/answers.h"
#include "api/handlers.h"
#include "base/base64.h"
#include "base/limits.h"
#include "base/text.h"

namespace tare::api {

namespace {

using Path = host::SandboxFiles::Path;

constexpr std::uint64_t kDefaultEntries = 10'000;
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
constexpr fiber::Duration kSilence = std::chrono::seconds(10);  // of a watch

// A file whose whole is larger is read in parts: nobody wants a terabyte of zeros by mistake.
constexpr std::uint64_t kMaxWholeBytes = std::uint64_t{64} << 30;

Result<Path> path_of(const http::Query& query) {
  const auto path = query.get("path");
  const auto encoded = query.get("path_base64");
  if (path.has_value() == encoded.has_value())
    return field_error("path", "give exactly one of path and path_base64");
  if (path) return Path{"path", std::string(*path)};
  auto decoded = base64url_decode(*encoded);
  if (!decoded) return field_error("path_base64", decoded.error().message);
  return Path{"path", std::move(*decoded)};
}

Result<std::string> mode_of(const http::Query& query, std::string_view otherwise) {
  const std::string text(query.get("mode").value_or(otherwise));
  const bool octal = !text.empty() && text.size() <= 4 &&
                     text.find_first_not_of("01234567") == std::string::npos;
  if (!octal || text > "0777") {
    if (!octal || text.size() == 4)
      return field_error("mode", fmt::format("{} is not one of 000 to 777", quote(text)));
  }
  return text;
}

void add_name(JsonObject& out, std::string_view key, const std::string& name) {
  out[key] = name;
  if (!is_utf8(name)) out[std::string(key) + "_base64"] = base64url_encode(name);
}

Json to_json(const host::SandboxEntry& entry) {
  JsonObject out{{"type", host::to_string(entry.type)},
                 {"size", entry.size},
                 {"mode", entry.mode},
                 {"uid", entry.uid},
                 {"gid", entry.gid},
                 {"modified_ms", entry.modified_ms}};
  add_name(out, "name", entry.name);
  if (entry.type == sandbox::FileType::symlink) add_name(out, "target", entry.target);
  return out;
}

Json to_json(const host::SandboxEvent& event) {
  JsonObject out{{"event", host::to_string(event.kind)}, {"directory", event.directory}};
  if (event.cookie != 0) out["cookie"] = event.cookie;
  add_name(out, "name", event.name);
  return out;
}

struct Moving {
  std::string from, to;
  bool replace = false;
};

}  // namespace

Result<> stat_file(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"path", "path_base64"}));
  const std::string id = TRY(run_id_of(exchange));
  const Path path = TRY(path_of(exchange.query()));
  auto operation = TRY(services.files.start(id, "stat", {path}, {}, exchange.context()));
  TRY(operation.head(exchange.context()));
  bool end = false, more = false;
  const auto entry = TRY(operation.entry(end, more, exchange.context()));
  if (end) return Error{Errc::unavailable, "the answer from inside is not one"};
  operation.done();
  return reply_json(exchange, 200, to_json(entry));
}

Result<> list_files(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"path", "path_base64", "limit"}));
  const std::string id = TRY(run_id_of(exchange));
  const Path path = TRY(path_of(exchange.query()));
  const auto limit = TRY(
      number(exchange.query(), "limit", kDefaultEntries, 1, host::kMaxListedEntries));
  auto operation = TRY(
      services.files.start(id, "list", {path}, {std::to_string(limit)}, exchange.context()));
  TRY(operation.head(exchange.context()));
  std::vector<host::SandboxEntry> entries;
  bool end = false, more = false;
  for (;;) {
    auto entry = TRY(operation.entry(end, more, exchange.context()));
    if (end) break;  // and with it tare-files
    if (entries.size() == limit) return Error{Errc::unavailable, "more entries than asked for"};
    entries.push_back(std::move(entry));
  }
  operation.done();
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  JsonArray list;
  for (const auto& entry : entries) list.push_back(to_json(entry));
  return reply_json(exchange, 200, JsonObject{{"entries", std::move(list)}, {"more", more}});
}

Result<> read_file(Services& services, Exchange& exchange) {
  const http::Query& query = exchange.query();
  TRY(query.allow_only({"path", "path_base64", "offset", "length"}));
  const std::string id = TRY(run_id_of(exchange));
  const Path path = TRY(path_of(query));
  const auto offset = TRY(number(query, "offset", 0, 0, kMaxCount));
  const bool whole = !query.get("length").has_value();
  const auto length = TRY(number(query, "length", 0, 0, kMaxCount));
  auto operation = TRY(services.files.start(
      id, "read", {path}, {std::to_string(offset), whole ? "-" : std::to_string(length)},
      exchange.context()));
  const std::uint64_t size = TRY(operation.head(exchange.context())).size;
  if (whole ? size > kMaxWholeBytes : size > length) {
    return field_error("length", fmt::format("{} bytes are too many at once: ask for parts", size));
  }
  TRY(exchange.start(200, {{"Content-Type", "application/octet-stream"}}, size));
  std::string buffer(std::min<std::uint64_t>(size, kPieceBytes), '\0');
  for (std::uint64_t at = 0; at < size;) {
    const auto into = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), size - at));
    const std::size_t n = TRY(operation.read_some(into, exchange.context()));
    if (n == 0) return Error{Errc::unavailable, "the file became shorter while it was read"};
    TRY(exchange.write(std::string_view(buffer).substr(0, n)));
    at += n;
  }
  operation.done();
  return ok();
}

Result<> write_file(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"path", "path_base64", "mode"}));
  const std::string id = TRY(run_id_of(exchange));
  const Path path = TRY(path_of(exchange.query()));
  const std::string mode = TRY(mode_of(exchange.query(), "644"));
  auto operation = TRY(services.files.start(id, "write", {path}, {mode}, exchange.context()));
  std::uint64_t given = 0;
  bool taken = true;
  while (taken) {
    const std::string_view bytes = TRY(exchange.read());
    if (bytes.empty()) break;
    taken = TRY(operation.write(bytes, exchange.context()));
    given += bytes.size();
  }
  if (taken) TRY(operation.commit(exchange.context()));
  TRY(operation.head(exchange.context()));
  operation.done();
  TRY(operation.keep(exchange.context()));
  return reply_json(exchange, 200, JsonObject{{"bytes", given}});
}

Result<> remove_file(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"path", "path_base64", "recursive"}));
  const std::string id = TRY(run_id_of(exchange));
  const Path path = TRY(path_of(exchange.query()));
  const bool recursive = TRY(flag(exchange.query(), "recursive", false));
  TRY(services.files.run(id, "remove", {path}, {recursive ? "1" : "0"}, exchange.context()));
  return exchange.reply({.status = 204});
}

Result<> move_file(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({}));
  const std::string id = TRY(run_id_of(exchange));
  const Json body = TRY(read_json(exchange));
  Moving moving;
  const Node node(body);
  Fields fields(node);
  fields.required("from", moving.from, text(host::kMaxSandboxPathBytes, 1));
  fields.required("to", moving.to, text(host::kMaxSandboxPathBytes, 1));
  fields.optional("replace", moving.replace, boolean());
  TRY(fields.finish());
  TRY(services.files.run(id, "move", {{"from", moving.from}, {"to", moving.to}},
                         {moving.replace ? "1" : "0"}, exchange.context()));
  return exchange.reply({.status = 204});
}

Result<> make_folder(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"path", "path_base64", "mode", "parents"}));
  const std::string id = TRY(run_id_of(exchange));
  const Path path = TRY(path_of(exchange.query()));
  const std::string mode = TRY(mode_of(exchange.query(), "755"));
  const bool parents = TRY(flag(exchange.query(), "parents", false));
  TRY(services.files.run(id, "mkdir", {path}, {mode, parents ? "1" : "0"}, exchange.context()));
  return exchange.reply({.status = 204});
}

Result<> watch_file(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"path", "path_base64"}));
  const std::string id = TRY(run_id_of(exchange));
  const Path path = TRY(path_of(exchange.query()));
  auto operation = TRY(services.files.start(id, "watch", {path}, {}, exchange.context()));
  TRY(operation.head(exchange.context()));
  TRY(exchange.start(200, {{"Content-Type", "application/x-ndjson"}}, std::nullopt));
  TRY(exchange.write("{\"event\":\"watching\"}\n"));
  for (;;) {
    auto event = operation.event(exchange.context().with_timeout(kSilence));
    if (!event && event.error().code == Errc::timeout && !exchange.context().cancelled()) {
      TRY(exchange.write("{\"event\":\"keep_alive\"}\n"));
      continue;
    }
    if (!TRY(event)) return ok();
    TRY(exchange.write(to_text(to_json(**event)) + "\n"));
  }
}

}  // namespace tare::api
