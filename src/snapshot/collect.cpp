#include "snapshot/collect.h"

#include <fcntl.h>

#include <cerrno>
#include <map>

#include "snapshot/tree_copy.h"
#include "snapshot/tree_sync.h"
#include "snapshot/tree_walk.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot {

namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY;
constexpr std::size_t kMaxNamesPerFolder = 262'144;

class OutputCopy {
 public:
  OutputCopy(TreeWriter& writer, const Collect& request, uid_t uid, gid_t gid,
             const OnProgress& progress)
      : writer_(writer), request_(request), uid_(uid), gid_(gid), progress_(progress) {}

  // False: no entries are left, the walk is over.
  Result<bool> add(const WalkStep& step);
  Collected result() {
    result_.bytes = writer_.bytes();
    return std::move(result_);
  }

 private:
  void skip(SkipReason reason, const std::string& path);
  bool is_foreign(const struct stat& status) const;
  EntryMetadata metadata(const WalkStep& step, std::uint32_t mode) const;
  Result<> add_folder(const WalkStep& step);
  Result<> add_leaf(const WalkStep& step);
  Result<> add_symlink(const WalkStep& step);
  Result<> add_file(const WalkStep& step);
  // An error that concerns one entry becomes a skip; any other goes on up.
  Result<> settle(const WalkStep& step, Result<> outcome);

  TreeWriter& writer_;
  const Collect& request_;
  uid_t uid_;
  gid_t gid_;
  const OnProgress& progress_;
  Collected result_;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;
};

void OutputCopy::skip(SkipReason reason, const std::string& path) {
  ++result_.skipped[static_cast<std::size_t>(reason)];
  if (result_.skips.size() < kMaxListedSkips)
    result_.skips.push_back({reason, path.substr(0, kMaxSkippedPathBytes)});
}

bool OutputCopy::is_foreign(const struct stat& status) const {
  return status.st_uid < request_.owner_base ||
         status.st_uid - request_.owner_base >= request_.owner_count;
}

EntryMetadata OutputCopy::metadata(const WalkStep& step, std::uint32_t mode) const {
  return EntryMetadata{mode, uid_, gid_, step.status.st_mtim.tv_sec, {}};
}

Result<bool> OutputCopy::add(const WalkStep& step) {
  if (step.kind == WalkStep::Kind::leave) return true;
  if (step.path == kRootPath) {
    TRY(writer_.add_folder(kRootPath, metadata(step, 0700)));
    return true;
  }
  if (progress_) TRY(progress_(writer_.entries(), writer_.bytes()));
  if (writer_.entries() >= request_.limits.max_entries) {
    skip(SkipReason::too_many, step.path);
    return false;
  }
  if (step.kind == WalkStep::Kind::unentered) {
    skip(step.trouble == "on another file system" ? SkipReason::unreadable : SkipReason::bad_name,
         step.path);
    return true;
  }
  if (step.kind == WalkStep::Kind::enter) {
    TRY(add_folder(step));
  } else if (is_foreign(step.status)) {
    skip(SkipReason::foreign, step.path);
  } else {
    TRY(settle(step, add_leaf(step)));
  }
  return true;
}

// Folders are kept whoever owns them: what is in one is judged by itself.
Result<> OutputCopy::add_folder(const WalkStep& step) {
  TRY(writer_.add_folder(step.path, metadata(step, (step.status.st_mode & 0777) | 0700)));
  ++result_.folders;
  return ok();
}

Result<> OutputCopy::settle(const WalkStep& step, Result<> outcome) {
  if (outcome) return ok();
  const Error& error = outcome.error();
  const bool full = error.sys == ENOSPC || error.sys == EDQUOT || error.sys == EIO ||
                    error.sys == EROFS;
  if (error.code == Errc::timeout || error.code == Errc::cancelled || full) return outcome;
  if (error.code == Errc::exhausted || error.sys == EFBIG) {
    skip(SkipReason::too_large, step.path);
  } else if (error.code == Errc::invalid && error.sys == 0) {
    skip(SkipReason::bad_name, step.path);
  } else {
    skip(SkipReason::unreadable, step.path);
  }
  return ok();
}

Result<> OutputCopy::add_leaf(const WalkStep& step) {
  if (S_ISREG(step.status.st_mode)) return add_file(step);
  if (S_ISLNK(step.status.st_mode)) return add_symlink(step);
  skip(SkipReason::special, step.path);
  return ok();
}

Result<> OutputCopy::add_symlink(const WalkStep& step) {
  const std::string target = TRY(sys::read_link_at(step.parent, step.name));
  TRY(writer_.add_symlink(step.path, target, metadata(step, 0)));
  ++result_.links;
  return ok();
}

Result<> OutputCopy::add_file(const WalkStep& step) {
  const std::pair key{step.status.st_dev, step.status.st_ino};
  if (step.status.st_nlink > 1) {
    if (const auto first = linked_.find(key); first != linked_.end()) {
      TRY(writer_.add_hardlink(step.path, first->second));
      ++result_.links;
      return ok();
    }
  }
  // NONBLOCK: should a FIFO have taken the file's place since, opening it must not wait.
  const sys::UniqueFd from = TRY(
      sys::open_at(step.parent, step.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  const struct stat status = TRY(sys::stat_fd(from.get()));
  if (!S_ISREG(status.st_mode)) {
    skip(SkipReason::special, step.path);
    return ok();
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > request_.limits.max_file_bytes) {
    skip(SkipReason::too_large, step.path);
    return ok();
  }
  TreeWriter::File file = TRY(writer_.begin_file(step.path));
  auto made = copy_content(from.get(), writer_, file, size, progress_);
  if (made) made = writer_.finish_file(file, size, metadata(step, (status.st_mode & 0777) | 0600));
  if (!made) {
    TRY(writer_.abandon(file));
    return made;
  }
  if (status.st_nlink > 1) linked_[key] = step.path;
  ++result_.files;
  return ok();
}

// runs/<run>, which tared has made: never through a symlink, and only if it is really tare's.
Result<sys::UniqueFd> run_folder(const LayerStore& store, const std::string& run) {
  auto folder = sys::open_beneath(store.runs(), run, kFolder | O_NOFOLLOW);
  if (!folder) return std::move(folder).error().context("run " + run);
  const struct stat status = TRY(sys::stat_fd(folder->get()));
  if (status.st_uid != store.user_uid())
    return Error{Errc::denied, "run " + run + ": its folder is not tare's"};
  return folder;
}

Error already_there(const std::string& run) {
  return Error{Errc::conflict, "run " + run + ": its output was collected before"};
}

}  // namespace

Result<Collected> copy_output(int source, TreeWriter& writer, const Collect& request, uid_t uid,
                              gid_t gid, const OnProgress& progress) {
  TreeWalk walk = TRY(TreeWalk::start(source, kMaxNamesPerFolder));
  OutputCopy copy(writer, request, uid, gid, progress);
  for (;;) {
    const auto step = TRY(walk.next());
    if (!step || !TRY(copy.add(*step))) break;
  }
  TRY(writer.finish());
  return copy.result();
}

Result<Collected> collect(const LayerStore& store, const std::string& name, int source,
                          const Collect& request, const OnProgress& progress) {
  const sys::UniqueFd run = TRY(run_folder(store, request.run));
  const sys::UniqueFd stage = TRY(store.stage(name));
  TRY(sys::make_dir_at(stage.get(), "output", 0700));
  TreeWriter writer(TRY(sys::open_beneath(stage.get(), "output", kFolder)), request.limits);
  Collected collected = TRY(
      copy_output(source, writer, request, store.user_uid(), store.user_gid(), progress)
          .context("output"));
  TRY(sync_tree(stage.get(), writer.entries()));
  auto renamed = sys::rename_at(stage.get(), "output", run.get(), "output");
  if (!renamed) {
    const int error = renamed.error().sys;
    if (error == ENOTEMPTY || error == EEXIST || error == ENOTDIR)
      return already_there(request.run);
    return std::move(renamed).error().context("output (store and runs must be on one file system)");
  }
  TRY(sys::sync_fd(run.get()));
  TRY(store.discard(name));
  return collected;
}

Result<std::optional<Collected>> collect_nothing(const LayerStore& store, int source,
                                                 const Collect& request) {
  const auto names = sys::list_dir(source, ".", 1);
  if (!names || !names->empty()) return std::optional<Collected>();
  const sys::UniqueFd run = TRY(run_folder(store, request.run));
  auto made = sys::make_dir_at(run.get(), "output", 0700);
  if (made) {
    TRY(sys::own_at(run.get(), "output", store.user_uid(), store.user_gid()));
  } else if (made.error().sys != EEXIST) {
    return std::move(made).error();
  } else if (auto there = sys::list_dir(run.get(), "output", 1); !there || !there->empty()) {
    return already_there(request.run);
  }
  return std::optional(Collected{});
}

Result<> remove_run(const LayerStore& store, const std::string& name, const std::string& run) {
  auto renamed = sys::rename_at(store.runs(), run, store.staging(), name);
  if (!renamed) {
    if (renamed.error().sys == ENOENT) return ok();
    return std::move(renamed).error().context("run " + run);
  }
  TRY(sys::sync_fd(store.runs()));
  return store.discard(name);
}

}  // namespace tare::snapshot
