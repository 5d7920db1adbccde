#include "host/file_answers.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace tare::host {

namespace {

constexpr std::uint32_t kLastFileType = 6;

bool is_name(std::string_view name) {
  return name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

}  // namespace

std::string_view to_string(sandbox::FileType type) {
  using sandbox::FileType;
  switch (type) {
    case FileType::file: return "file";
    case FileType::directory: return "directory";
    case FileType::symlink: return "symlink";
    case FileType::fifo: return "fifo";
    case FileType::socket: return "socket";
    case FileType::device: return "device";
  }
  return "";
}

std::string_view to_string(sandbox::WatchKind kind) {
  using sandbox::WatchKind;
  switch (kind) {
    case WatchKind::created: return "created";
    case WatchKind::removed: return "removed";
    case WatchKind::modified: return "modified";
    case WatchKind::written: return "written";
    case WatchKind::moved_from: return "moved_from";
    case WatchKind::moved_to: return "moved_to";
    case WatchKind::attributes: return "attributes";
    case WatchKind::gone: return "gone";
    case WatchKind::overflow: return "overflow";
  }
  return "";
}

bool is_plausible(const sandbox::FileHead& head, std::size_t paths) {
  return head.magic == sandbox::kFileMagic && head.argument < paths;
}

bool is_plausible(const sandbox::FileEntry& entry) {
  if (entry.name_bytes == 0) return true;
  const auto type = static_cast<std::uint32_t>(entry.type);
  return entry.name_bytes <= sandbox::kMaxFileNameBytes && type >= 1 && type <= kLastFileType &&
         entry.mode <= 07777 && entry.target_bytes <= sandbox::kMaxFileTargetBytes;
}

bool is_plausible(const sandbox::WatchEvent& event) {
  const auto kind = static_cast<std::uint32_t>(event.kind);
  return kind >= 1 && kind <= sandbox::kLastWatchKind &&
         event.name_bytes <= sandbox::kMaxFileNameBytes;
}

std::optional<SandboxEntry> entry_of(const sandbox::FileEntry& raw, std::string name,
                                     std::string target) {
  if (name.empty() || !is_name(name) || target.find('\0') != std::string::npos) return std::nullopt;
  return SandboxEntry{
      .name = std::move(name),
      .target = std::move(target),
      .type = raw.type,
      .mode = raw.mode,
      .uid = raw.uid,
      .gid = raw.gid,
      .size = std::min<std::uint64_t>(raw.size, kMaxCount),
      .modified_ms = std::min<std::uint64_t>(raw.modified_ns / 1'000'000, kMaxCount)};
}

std::optional<SandboxEvent> event_of(const sandbox::WatchEvent& raw, std::string name) {
  if (!is_name(name)) return std::nullopt;
  return SandboxEvent{raw.kind, raw.cookie, raw.directory == 1, std::move(name)};
}

}  // namespace tare::host
