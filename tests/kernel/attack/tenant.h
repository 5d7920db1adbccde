// What the tenants of a slot share (tenant.cpp leaves, tenant_look.cpp looks): the mark of 32
// bytes, and what ends a tenant that cannot do as it is told.
#pragma once

#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace tare::attack {

inline constexpr std::size_t kMiB = 1 << 20;
inline constexpr std::size_t kPage = 4096;
inline constexpr std::size_t kMarkBytes = 32;

inline void need(bool done, const std::string& what) {
  if (done) return;
  std::printf("cannot %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

inline char* map_anonymous(std::size_t size) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  need(memory != MAP_FAILED, "map memory");
  return static_cast<char*>(memory);
}

// The mark is nowhere in this process but where it is put: it is kept inverted.
class Mark {
 public:
  explicit Mark(const std::string& hex) {
    for (std::size_t i = 0; i < kMarkBytes; ++i) {
      const auto byte = std::strtoul(hex.substr(2 * i, 2).c_str(), nullptr, 16);
      inverted_[i] = static_cast<unsigned char>(~byte);
    }
  }
  void fill(void* memory, std::size_t size) const {
    auto* bytes = static_cast<unsigned char*>(memory);
    for (std::size_t i = 0; i < size; ++i)
      bytes[i] = static_cast<unsigned char>(~inverted_[i % kMarkBytes]);
  }
  bool is_in(const void* memory, std::size_t size) const {
    const auto* at = static_cast<const unsigned char*>(memory);
    const auto* const end = at + size;
    const auto first = static_cast<unsigned char>(~inverted_[0]);
    while (end - at >= static_cast<std::ptrdiff_t>(kMarkBytes)) {
      at = static_cast<const unsigned char*>(
          std::memchr(at, first, static_cast<std::size_t>(end - at) - kMarkBytes + 1));
      if (at == nullptr) return false;
      std::size_t same = 1;
      while (same < kMarkBytes && static_cast<unsigned char>(~at[same]) == inverted_[same]) ++same;
      if (same == kMarkBytes) return true;
      ++at;
    }
    return false;
  }

 private:
  std::array<unsigned char, kMarkBytes> inverted_ = {};
};

// All that a tenant finds, without the memory and the blocks it is given; and with these.
void list_all(const Mark& mark);
void look_at_all(const Mark& mark, bool plant);

}  // namespace tare::attack
