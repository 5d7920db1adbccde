// What tared reads of tare-files: a program that stands in for it inside a sandbox.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"
#include "host/file_answers.h"

namespace {

template <typename T>
bool take(std::string_view& bytes, T& into) {
  if (bytes.size() < sizeof into) return false;
  std::memcpy(&into, bytes.data(), sizeof into);
  bytes.remove_prefix(sizeof into);
  return true;
}

std::string take_text(std::string_view& bytes, std::size_t size) {
  CHECK(size <= tare::sandbox::kMaxFileTargetBytes);  // judged before
  std::string text(bytes.substr(0, size));
  bytes.remove_prefix(text.size());
  return text;
}

bool stays_in_its_folder(const std::string& name) {
  return name != "." && name != ".." && name.find('/') == std::string::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tare;
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  sandbox::FileHead head;
  sandbox::FileEntry entry;
  sandbox::WatchEvent event;
  switch (data[0] % 3) {
    case 0:
      if (take(bytes, head) && host::is_plausible(head, 2)) CHECK(head.argument < 2);
      break;
    case 1:
      while (take(bytes, entry) && host::is_plausible(entry) && entry.name_bytes > 0) {
        std::string name = take_text(bytes, entry.name_bytes);
        const auto taken = host::entry_of(entry, std::move(name),
                                          take_text(bytes, entry.target_bytes));
        if (!taken) break;
        CHECK(!taken->name.empty() && stays_in_its_folder(taken->name));
        CHECK(!host::to_string(taken->type).empty());
      }
      break;
    default:
      while (take(bytes, event) && host::is_plausible(event)) {
        const auto taken = host::event_of(event, take_text(bytes, event.name_bytes));
        if (!taken) break;
        CHECK(stays_in_its_folder(taken->name) && !host::to_string(taken->kind).empty());
      }
  }
  return 0;
}
