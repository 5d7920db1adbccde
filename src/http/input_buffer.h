// InputBuffer: received bytes that are not yet consumed, contiguous. Shared by server and client;
// private to src/http. Views into it are valid until the next fill().
#pragma once

#include <string.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "base/check.h"
#include "base/result.h"
#include "fiber/stream.h"

namespace tare::http {

// Enough that a large body costs few system calls; allocated when a body does not fit the first
// buffer.
inline constexpr std::size_t kBodyBufferBytes = 128 << 10;

class InputBuffer {
 public:
  explicit InputBuffer(std::size_t capacity)
      : bytes_(std::make_unique_for_overwrite<char[]>(capacity)), capacity_(capacity) {}

  std::string_view view() const { return {bytes_.get() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }
  void consume(std::size_t count) {
    CHECK(count <= end_ - begin_);
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }

  // Overwrites what was consumed and what is not filled: bodies with secrets in them.
  void forget_consumed() {
    ::explicit_bzero(bytes_.get(), begin_);
    ::explicit_bzero(bytes_.get() + end_, capacity_ - end_);
  }

  void grow(std::size_t capacity) {
    if (capacity <= capacity_) return;
    auto larger = std::make_unique_for_overwrite<char[]>(capacity);
    const auto kept = view();
    if (!kept.empty()) std::memcpy(larger.get(), kept.data(), kept.size());
    ::explicit_bzero(bytes_.get(), capacity_);  // it may be the beginning of a secret
    end_ = kept.size();
    begin_ = 0;
    bytes_ = std::move(larger);
    capacity_ = capacity;
  }
  // Gives memory back when nothing is kept.
  void shrink(std::size_t capacity) {
    if (empty() && capacity < capacity_) *this = InputBuffer(capacity);
  }

  // Receives more behind what is there; 0 when the other side has ended. There must be room
  // (CHECK): the decoder refuses what cannot fit before the buffer is full.
  Result<std::size_t> fill(fiber::Stream& stream, const fiber::Context& ctx) {
    if (capacity_ - end_ < capacity_ / 4 && begin_ != 0) {
      std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    CHECK(end_ < capacity_);
    const auto count = TRY(stream.read_some(std::span(bytes_.get() + end_, capacity_ - end_), ctx));
    end_ += count;
    return count;
  }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace tare::http
