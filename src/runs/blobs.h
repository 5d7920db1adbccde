// Files by content: `<folder>/ab/<64 hex>` is the file whose SHA-256 is ab.... Written once, never
// changed, read-only (0555, as an input may be a program; the folder itself is 0700, so only its
// owner gets there).
//
// Owner: tared. Threads: any, as long as each BlobWriter stays with one; all calls block on the
// disk. Units: bytes. Errors: Errc::invalid for content that is not what was stated; exhausted for
// too much; not_found for a digest that is not there. What never happens: a name appears before its
// content is whole and on the disk; a writer that was given up leaves anything but a file in
// `tmp/`, which sweep() removes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "base/result.h"
#include "sys/fd.h"

namespace tare::runs {

struct Blob {
  std::string digest;  // "sha256:<64 hex>"
  std::uint64_t size = 0;
  friend bool operator==(const Blob&, const Blob&) = default;
};

// Content on its way in. Given up by the destructor unless finished.
class [[nodiscard]] BlobWriter {
 public:
  BlobWriter(BlobWriter&& other) noexcept;
  BlobWriter& operator=(BlobWriter&&) = delete;
  ~BlobWriter();

  Result<> write(std::span<const std::byte> bytes);
  Result<> write(std::string_view text);
  // Durable under its name when this returns. Nothing may be called afterwards.
  Result<Blob> finish();

 private:
  friend class Blobs;
  BlobWriter(int root, std::mutex& names, sys::UniqueFd file, std::string temporary,
             std::string expected, std::uint64_t max_bytes)
      : root_(root),
        names_(&names),
        file_(std::move(file)),
        temporary_(std::move(temporary)),
        expected_(std::move(expected)),
        max_bytes_(max_bytes) {}
  Result<> publish(const Sha256Digest& digest);

  int root_;  // borrowed from Blobs
  std::mutex* names_;
  sys::UniqueFd file_;
  std::string temporary_;  // "tmp/<random>"; empty: finished or moved away
  std::string expected_;   // a digest, or empty
  std::uint64_t max_bytes_;
  std::uint64_t size_ = 0;
  Sha256 hash_;
};

// What lies in the folder.
struct BlobNames {
  std::vector<std::string> digests;
  std::vector<std::string> strays;  // paths below it that are no blob's and not tmp/
};

class Blobs {
 public:
  // Makes the folder (0700) when it is not there. `random` names temporary files.
  static Result<Blobs> open(int dir, std::string_view folder, Random& random);

  // `expected` is the digest that the content must have, or empty.
  Result<BlobWriter> create(std::string_view expected, std::uint64_t max_bytes);
  Result<sys::UniqueFd> read(std::string_view digest) const;
  Result<Blob> find(std::string_view digest) const;
  // The same, and it counts as stored now.
  Result<Blob> renew(std::string_view digest) const;
  // The blob under another name: a hard link, so the file must not be written to; a copy where a
  // link cannot be made (another file system, too many links). Conflict when the name exists.
  Result<> link(std::string_view digest, int dir, std::string_view path) const;
  // Reads it all again and compares.
  Result<> verify(std::string_view digest) const;
  Result<BlobNames> list() const;  // in order
  // Removes temporary files not written to since `before_ms` (wall time). Answers how many.
  Result<std::size_t> sweep(std::uint64_t before_ms) const;
  // Removes the blobs that nobody uses: with no other name (link() gives a run's input one), not
  // stored or renewed since `before_ms` (wall time), and not among `kept`. Answers how many.
  Result<std::size_t> sweep_unused(std::uint64_t before_ms,
                                   const std::set<std::string, std::less<>>& kept) const;

 private:
  Blobs(sys::UniqueFd root, Random& random)
      : root_(std::move(root)), random_(&random), names_(std::make_unique<std::mutex>()) {}
  Result<bool> remove_unused(const std::string& path, std::uint64_t before_ms) const;

  sys::UniqueFd root_;
  Random* random_;
  // Held while a name is looked at and then made, renewed or removed.
  std::unique_ptr<std::mutex> names_;
};

}  // namespace tare::runs
