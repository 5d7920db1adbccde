// What files of the host say, as values: pure parsing, for the checks.
// Sources: uname(2), user_namespaces(7) (uid_map). Any text is accepted.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tare::sandbox {

struct KernelVersion {
  std::uint32_t major_number = 0, minor_number = 0;
  auto operator<=>(const KernelVersion&) const = default;
};
inline constexpr KernelVersion kOldestKernel = {6, 1};

// "6.1.0-28-amd64" is 6.1; nullopt when it does not begin with two numbers.
std::optional<KernelVersion> parse_kernel_version(std::string_view release);

// Does one line of a uid_map ("inside outside count") cover the ids inside from `first` on?
bool maps_ids(std::string_view uid_map, std::uint64_t first, std::uint64_t count);

// Who is handed a crashed program, by kernel.core_pattern: core(5).
enum class CoreHandler : std::uint8_t { file, program, socket };
CoreHandler core_handler(std::string_view core_pattern);

// A decimal number and nothing else.
std::optional<std::uint64_t> parse_count(std::string_view text);

}  // namespace tare::sandbox
