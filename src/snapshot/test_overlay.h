// For this module's tests only: layers and an upper on a real overlay, so that what the kernel
// makes of edits is what the code reads, and what it makes of layers is what a run would see.
#pragma once

#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "snapshot/freeze.h"
#include "snapshot/test_support.h"
#include "sys/unshare.h"

namespace tare::snapshot::test {

namespace fs = std::filesystem;

class OverlayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    TARE_NEEDS_ROOT();
    static const bool apart = ::unshare(CLONE_NEWNS) == 0 &&
                              ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    ASSERT_TRUE(apart);
    new_layer();
  }
  void TearDown() override { unmount(); }

  fs::path path(const std::string& name) const { return fs::path(dir_.path()) / name; }
  fs::path merged() const { return path("merged"); }
  fs::path layer(std::size_t number) const { return path("layer" + std::to_string(number)); }
  void new_layer() { fs::create_directories(layer(layers_++)); }

  void unmount() {
    while (::umount2(merged().c_str(), MNT_DETACH) == 0) {
    }
  }
  void mount(const std::string& options, const std::vector<fs::path>& lowers) {
    unmount();
    fs::create_directories(merged());
    std::string all = "lowerdir=";
    for (auto lower = lowers.rbegin(); lower != lowers.rend(); ++lower)
      all += (lower == lowers.rbegin() ? "" : ":") + lower->string();
    all += options + ",metacopy=off,index=off,xino=off";
    ASSERT_EQ(::mount("overlay", merged().c_str(), "overlay", 0, all.c_str()), 0) << all;
  }
  // Empty, and everything made below merged() is a change.
  void open_upper() {
    for (const char* name : {"upper", "work"}) {
      fs::remove_all(path(name));
      fs::create_directories(path(name));
    }
    std::vector<fs::path> lowers;
    for (std::size_t i = 0; i < layers_; ++i) lowers.push_back(layer(i));
    mount(",upperdir=" + path("upper").string() + ",workdir=" + path("work").string() +
              ",redirect_dir=off",
          lowers);
  }
  // With layers alone; `which`: only these, lowest first.
  std::string shown() {
    std::vector<fs::path> all;
    for (std::size_t i = 0; i < layers_; ++i) all.push_back(layer(i));
    return shown(std::move(all));
  }
  std::string shown(std::vector<fs::path> which) {
    fs::create_directories(path("nothing"));
    which.push_back(path("nothing"));  // overlayfs wants two at least
    mount("", which);
    return text_of_merged();
  }
  // The root's own line is left out: the empty folder above it would show.
  std::string text_of_merged() const {
    const std::string text = manifest_of(
        sys::open_at(sys::kCwd, merged().string(), O_RDONLY | O_DIRECTORY).value().get());
    const std::size_t root = text.find('\n') + 1;
    return text.substr(text.find('\n', root));
  }
  PathSet opaque() const {
    PathSet found;
    for (const auto& entry : fs::recursive_directory_iterator(path("upper"))) {
      char value = 0;
      if (entry.is_symlink() || !entry.is_directory()) continue;
      if (::lgetxattr(entry.path().c_str(), "trusted.overlay.opaque", &value, 1) == 1 &&
          value == 'y')
        found.insert(fs::relative(entry.path(), path("upper")).string());
    }
    return found;
  }
  // The upper becomes the next layer.
  TarCounts freeze(Freeze request = {}) {
    request.limits = kRoomy;
    if (request.owner_count == 0) request.owner_count = 65'536;
    std::vector<sys::UniqueFd> roots;
    for (std::size_t i = layers_; i-- > 0;) roots.push_back(open(layer(i)));
    const PathSet hiding = opaque();
    new_layer();
    TreeWriter writer(open(layer(layers_ - 1)), kRoomy);
    const auto done = copy_upper(open(path("upper")).get(), hiding, LowerView(std::move(roots)),
                                 request, writer, nullptr);
    EXPECT_EQ(why(done), "");
    cut_ = done ? done->cut : std::vector<std::string>();
    return done ? done->dropped : TarCounts{};
  }
  // The upper as a layer of its own beside the others, made as the one after checkpoint - 1.
  enum class Since : std::uint8_t { last, nothing };
  CopiedUpper checkpoint(int number, Since since = Since::last) {
    const auto place = [&](int which) { return path("checkpoint" + std::to_string(which)); };
    fs::create_directories(place(number));
    std::vector<sys::UniqueFd> roots;
    for (std::size_t i = layers_; i-- > 0;) roots.push_back(open(layer(i)));
    std::unique_ptr<KnownFiles> known;
    if (number > 0 && since == Since::last) {
      auto before = parse_manifest(manifest_of(open(place(number - 1)).get()));
      EXPECT_EQ(why(before), "");
      known = std::make_unique<KnownFiles>(open(place(number - 1)), std::move(*before));
    }
    Freeze request;
    request.limits = kRoomy;
    request.owner_count = 65'536;
    TreeWriter writer(open(place(number)), kRoomy);
    auto done = copy_upper(open(path("upper")).get(), opaque(), LowerView(std::move(roots)),
                           request, writer, nullptr, known.get());
    EXPECT_EQ(why(done), "");
    return done ? std::move(*done) : CopiedUpper{};
  }
  std::string newest() const { return manifest_of(open(layer(layers_ - 1)).get()); }
  static sys::UniqueFd open(const fs::path& folder) {
    return sys::open_at(sys::kCwd, folder.string(), O_RDONLY | O_DIRECTORY).value();
  }
  static void write(const fs::path& file, std::string_view text) {
    std::ofstream(file, std::ios::binary) << text;
  }
  static std::vector<fs::path> all_below(const fs::path& folder) {
    std::vector<fs::path> all;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) all.push_back(entry.path());
    std::ranges::sort(all);
    return all;
  }

  // As a shell would do it: an edit that is not possible is none.
  void start_random_edits() {
    fs::create_directories(layer(0) / "a/b/c");
    fs::create_directories(layer(0) / "d");
    for (const char* file : {"a/1", "a/b/2", "a/b/c/3", "d/4", "5"}) write(layer(0) / file, file);
  }
  void edit_at_random() {
    for (int i = 0; i < 25; ++i) {
      const auto all = all_below(merged());
      const fs::path at = all.empty() ? merged() / "x" : all[pick(all.size())];
      const fs::path folder = fs::is_directory(fs::symlink_status(at)) ? at : at.parent_path();
      const fs::path fresh = folder / std::string(1, static_cast<char>('a' + pick(8)));
      std::error_code ignored;
      switch (pick(7)) {
        case 0: fs::remove_all(at, ignored); break;
        case 1: fs::create_directory(fresh, ignored); break;
        case 2:
          if (!fs::is_directory(fs::symlink_status(fresh))) write(fresh, std::to_string(i));
          break;
        case 3: fs::create_symlink("../x", fresh, ignored); break;
        case 4: fs::create_hard_link(at, fresh, ignored); break;
        case 5: fs::rename(at, fresh, ignored); break;
        case 6:
          if (!fs::is_symlink(at))
            fs::permissions(at, static_cast<fs::perms>(0700 + pick(64)), ignored);
          break;
      }
    }
  }
  std::size_t pick(std::size_t n) { return random_() % n; }

  TempDir dir_;
  std::size_t layers_ = 0;
  std::vector<std::string> cut_;  // of the last freeze
  std::mt19937 random_{7};
};

}  // namespace tare::snapshot::test
