// What tare-files says from inside a sandbox (sandbox/files/protocol.h), as tared takes it: nothing
// in it is believed, as whatever runs beside tare-files can answer in its place. Pure.
//
// Sizes are judged before what they announce is read. Errors: nullopt or false for what tare-files
// would never say. What never happens: a name that leads to another folder ('/', "." or "..").
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sandbox/files/protocol.h"

namespace tare::host {

struct SandboxEntry {
  std::string name;    // any bytes but '/' and NUL; not "." or ".."
  std::string target;  // of a symlink
  sandbox::FileType type = sandbox::FileType::file;
  std::uint32_t mode = 0, uid = 0, gid = 0;
  std::uint64_t size = 0, modified_ms = 0;
};
std::string_view to_string(sandbox::FileType type);

struct SandboxEvent {
  sandbox::WatchKind kind = sandbox::WatchKind::created;
  std::uint32_t cookie = 0;
  bool directory = false;
  std::string name;  // "": what is watched itself
};
std::string_view to_string(sandbox::WatchKind kind);

// `paths`: how many the operation has.
bool is_plausible(const sandbox::FileHead& head, std::size_t paths);
// Before its name and target are read. An end of a list is.
bool is_plausible(const sandbox::FileEntry& entry);
bool is_plausible(const sandbox::WatchEvent& event);
// With what was read after it; `raw` is plausible.
std::optional<SandboxEntry> entry_of(const sandbox::FileEntry& raw, std::string name,
                                     std::string target);
std::optional<SandboxEvent> event_of(const sandbox::WatchEvent& raw, std::string name);

}  // namespace tare::host
