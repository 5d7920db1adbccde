// For this module's tests only: folders that vanish, trees written and read back, tar archives made
// by hand (so that they can be wrong in every way a real tar program would not be).
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/check.h"
#include "snapshot/manifest.h"
#include "snapshot/tree_manifest.h"
#include "snapshot/tree_writer.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot::test {

#define TARE_NEEDS_ROOT() \
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: files of other owners are made"

// The error's message, or "" when it is a value: for EXPECT_EQ(why(result), "").
template <class T>
std::string why(const Result<T>& result) {
  return result ? "" : result.error().message;
}

// /tmp/tare_store_XXXXXX, removed with all that is in it.
class TempDir {
 public:
  TempDir() {
    char path[] = "/tmp/tare_store_XXXXXX";
    CHECK(::mkdtemp(path) != nullptr);
    path_ = path;
    fd_ = sys::open_at(sys::kCwd, path_, O_RDONLY | O_DIRECTORY).value();
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() { (void)sys::remove_tree_at(sys::kCwd, path_); }

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }
  sys::UniqueFd dup() const { return sys::open_at(fd(), ".", O_RDONLY | O_DIRECTORY).value(); }
  sys::UniqueFd folder(const std::string& name) const {
    CHECK(sys::ensure_dir_at(fd(), name, 0755).ok());
    return sys::open_at(fd(), name, O_RDONLY | O_DIRECTORY).value();
  }
  void write(const std::string& name, std::string_view text, unsigned mode = 0644) const {
    const sys::UniqueFd file = sys::open_at(fd(), name, O_WRONLY | O_CREAT | O_TRUNC, mode).value();
    CHECK(sys::write_all(file.get(), text).ok());
    CHECK(sys::chmod_fd(file.get(), mode).ok());
  }
  std::string read(const std::string& name) const {
    auto text = sys::read_file_at(fd(), name, 1 << 28);
    return text ? *text : "<" + text.error().message + ">";
  }
  struct stat stat(const std::string& name) const { return sys::stat_at(fd(), name).value(); }
  bool has(const std::string& name) const { return sys::exists_at(fd(), name); }

 private:
  std::string path_;
  sys::UniqueFd fd_;
};

inline std::string manifest_of(int root) {
  std::string text;
  const auto sink = [&](std::string_view part) {
    text += part;
    return ok();
  };
  const auto summary = write_manifest_of(root, sink, nullptr);
  CHECK(summary.ok() && sha256(text) == summary->digest);
  return text;
}

inline constexpr TreeLimits kRoomy = {.max_entries = 100'000,
                                      .max_bytes = std::uint64_t{1} << 30,
                                      .max_file_bytes = std::uint64_t{1} << 30};

// A ustar header and what belongs to it, from fields that need not make sense.
struct TarEntry {
  std::string name;
  char type = '0';  // '0' file, '1' hard link, '2' symlink, '3' '4' devices, '5' folder, '6' FIFO,
                    // 'x' 'g' pax
  std::string content = {};
  std::string link = {};
  unsigned mode = 0644;
  unsigned uid = 0, gid = 0;
  std::uint64_t mtime = 1'700'000'000;
  std::int64_t claimed_size = -1;  // -1: the content's
};

inline std::string octal(std::uint64_t value, int digits) {
  std::string text(static_cast<std::size_t>(digits), '0');
  for (auto at = text.rbegin(); at != text.rend(); ++at, value >>= 3U)
    *at = static_cast<char>('0' + (value & 7U));
  return text + '\0';
}

inline std::string padded(std::string text) {
  text.resize((text.size() + 511) / 512 * 512, '\0');
  return text;
}

inline std::string tar_entry(const TarEntry& e) {
  CHECK(e.name.size() <= 100 && e.link.size() <= 100);
  std::string h(512, '\0');
  const auto put = [&](std::size_t at, const std::string& text) {
    h.replace(at, text.size(), text);
  };
  put(0, e.name);
  put(100, octal(e.mode, 7));
  put(108, octal(e.uid, 7));
  put(116, octal(e.gid, 7));
  const auto size = e.claimed_size >= 0 ? static_cast<std::uint64_t>(e.claimed_size)
                                        : e.content.size();
  put(124, octal(size, 11));
  put(136, octal(e.mtime, 11));
  put(148, "        ");
  h[156] = e.type;
  put(157, e.link);
  put(257, std::string("ustar\0"
                       "00",
                       8));
  unsigned sum = 0;
  for (const char c : h) sum += static_cast<unsigned char>(c);
  put(148, octal(sum, 6) + ' ');
  return h + padded(e.content);
}

// "23 path=some/long/name\n"; the length counts itself.
inline std::string pax_record(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  std::size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length)
    length = std::to_string(length).size() + rest.size();
  return std::to_string(length) + rest;
}

inline std::string pax_header(const std::string& records, char type = 'x') {
  return tar_entry({.name = "pax", .type = type, .content = records});
}

inline std::string tar_end() { return std::string(1024, '\0'); }

inline std::string tar_of(const std::vector<TarEntry>& entries) {
  std::string archive;
  for (const TarEntry& entry : entries) archive += tar_entry(entry);
  return archive + tar_end();
}

// The bytes as a file to read from its beginning.
inline sys::UniqueFd as_file(std::string_view bytes) {
  sys::UniqueFd fd = sys::open_at(sys::kCwd, "/tmp", O_RDWR | O_TMPFILE, 0600).value();
  CHECK(sys::write_all(fd.get(), bytes).ok());
  CHECK(::lseek(fd.get(), 0, SEEK_SET) == 0);
  return fd;
}

}  // namespace tare::snapshot::test
