// What tare-files does in a live sandbox: an answer is an error or whole, what it says is true, and
// a file is never there by half.
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "file_operations.h"
#include "live_work.h"
#include "support/patience.h"
#include "support/stepper.h"
#include "sys/files.h"

namespace tare::testing {

namespace {

using model::EndReason;
using ::testing::AnyOf;
using ::testing::StartsWith;

constexpr int kEntries = 40;
const std::string kText(20'000, 'x');

// In /tmp/w. What `look` says before and after.
struct Row {
  const char* name;
  std::vector<std::string> arguments;
  const char* prepare;
  const char* look;
  std::string before, after;
  std::string input = "";
  bool (*whole)(const Files&) = [](const Files& files) { return files.body.empty(); };
  // Of a tare-files that died in the midst of it.
  bool (*true_so_far)(const Files&) = [](const Files& files) { return files.body.empty(); };
  // What a tare-files that is dead may have left, beside these two: it begins so.
  std::string between = "";
  const char* wake = nullptr;
};

bool whole_text(const Files& files) { return files.head.size == 20'000 && files.body == kText; }
bool whole_list(const Files& files) {
  const std::vector<Listed> entries = files.entries();
  return entries.size() == kEntries + 1 && entries.back().name.empty();
}
bool true_text(const Files& files) { return kText.starts_with(files.body); }
bool true_list(const Files& files) {
  return std::ranges::all_of(files.entries(), [](const Listed& one) {
    return one.name.empty() || std::ranges::all_of(one.name, ::isdigit);
  });
}
bool true_watch(const Files&) { return true; }
bool whole_watch(const Files& files) {
  const auto kinds = watched(files.body);
  return !kinds.empty() && kinds.back() == sandbox::WatchKind::gone;
}

const std::string kOld = "old\n";
// A draft has a name for a moment before it takes the place of a file.
constexpr const char*
    kLookAtF = "cat f 2>/dev/null; for d in .tare-*; do [ ! -e $d ] || echo draft; done";

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      {.name = "write",
       .arguments = {"write", "/tmp/w/f", "644"},
       .prepare = "true",
       .look = kLookAtF,
       .before = "",
       .after = "new\n",
       .input = pieces("new\n"),
       .between = "draft\n"},
      {.name = "replace",
       .arguments = {"write", "/tmp/w/f", "644"},
       .prepare = "echo old > f",
       .look = kLookAtF,
       .before = kOld,
       .after = "new\n",
       .input = pieces("new\n"),
       .between = "old\ndraft\n"},
      {.name = "read",
       .arguments = {"read", "/tmp/w/f", "0", "-"},
       .prepare = "head -c 20000 /dev/zero | tr '\\0' x > f",
       .look = "wc -c < f",
       .before = "20000\n",
       .after = "20000\n",
       .whole = whole_text,
       .true_so_far = true_text},
      {.name = "list",
       .arguments = {"list", "/tmp/w", "1000"},
       .prepare = "i=0; while [ $i -lt 40 ]; do echo $i > $i; i=$((i+1)); done",
       .look = "ls -A | wc -l",
       .before = "40\n",
       .after = "40\n",
       .whole = whole_list,
       .true_so_far = true_list},
      {.name = "move",
       .arguments = {"move", "/tmp/w/f", "/tmp/w/g", "0"},
       .prepare = "echo old > f",
       .look = "echo *; cat *",
       .before = "f\nold\n",
       .after = "g\nold\n"},
      {.name = "remove",
       .arguments = {"remove", "/tmp/w/t", "1"},
       .prepare = "mkdir -p t/a/b t/c keep; touch t/f t/a/f t/a/b/f t/c/f keep/f",
       .look = "ls; ls keep; find t 2>/dev/null | wc -l",
       .before = "keep\nt\nf\n8\n",
       .after = "keep\nf\n0\n",
       .between = "keep\nt\nf\n"},
      {.name = "watch",
       .arguments = {"watch", "/tmp/w/seen"},
       .prepare = "mkdir seen",
       .look = "true",
       .before = "",
       .after = "",
       .whole = whole_watch,
       .true_so_far = true_watch,
       .wake = "cd seen; echo x > a; mv a b; rm b; rmdir ../seen"},
  };
  return all;
}

class FileWork : public Work {
 public:
  FileWork(TestLauncher& launcher, const Row& row)
      : Work(launcher, session_spec()), row_(row), files_(session_) {
    const auto made = inside("mkdir /tmp/w; cd /tmp/w; " + std::string(row.prepare));
    EXPECT_EQ(made, "") << row.name;
  }
  void ask() override {
    operation_ = files_.start(row_.arguments);
    number_ = operation_.number;
    sys::write_all(operation_.in.get(), row_.input).value();
    if (row_.wake == nullptr) operation_.in.reset();
  }
  bool answered() override {
    (void)session_.told();
    return session_.has_ended(number_);
  }
  void wake() override {
    if (row_.wake != nullptr && !std::exchange(woken_, true)) (void)inside(row_.wake);
  }
  void lose() override { operation_ = {}; }

  void judge(const Fate& fate) override {
    if (fate.tared) {
      EXPECT_TRUE(session_.list().empty()) << "an operation that is nobody's any more";
      if (fate.lives) await_its_end();
    }
    bool done = false;
    if (!fate.tared) {
      if (fate.lives && row_.wake != nullptr && !woken_) await_its_first_word();
      if (fate.lives) wake();
      done = judge_answer(fate);
    }
    if (fate.lives) judge_files(fate, done);
  }

 private:
  std::string inside(const std::string& script) {
    return session_.sh("cd /tmp/w 2>/dev/null; " + script).out;
  }
  // Its pipes are closed, so it has an end. What tare-init is asked for next comes after its begin.
  void await_its_end() {
    (void)inside("true");
    const auto lives = [this] { return !children_of(session_.init()).empty(); };
    for (int i = 0; i < patience_ms(5'000) && lives(); ++i) ::usleep(1'000);
    for (const pid_t pid : children_of(session_.init()))
      ADD_FAILURE()
          << "process " << pid << " lives: "
          << sys::read_file_at(sys::kCwd, "/proc/" + std::to_string(pid) + "/status").value_or("");
  }

  // What is watched is watched then, or it is dead.
  void await_its_first_word() {
    pollfd word = {operation_.out.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&word, 1, patience_ms(5'000)), 1);
  }

  // True when it says that it was done.
  bool judge_answer(const Fate& fate) {
    const auto error = files_.answer(operation_);
    const bool whole = error == 0U && row_.whole(files_);
    if (fate.lives) {
      const model::Outcome end = session_.ended(number_).outcome;
      if (fate.cut) {
        EXPECT_THAT(end.reason, AnyOf(EndReason::signalled, EndReason::setup_failed));
        EXPECT_TRUE(end.reason == EndReason::setup_failed || end.signal == SIGKILL);
        EXPECT_TRUE(error != 0U || row_.true_so_far(files_)) << row_.name << ": " << files_.body;
      } else {
        EXPECT_TRUE(whole) << row_.name << ": " << error.value_or(9999) << ", then "
                           << files_.body.size() << " bytes";
        EXPECT_EQ(end.reason, EndReason::exited) << end.message;
        EXPECT_EQ(end.exit_code, 0);
      }
    }
    // Less than all of it shows by what has come.
    EXPECT_TRUE(!error || error == 0U) << row_.name << ": " << *error;
    return error == 0U;
  }

  void judge_files(const Fate& fate, bool done) {
    const std::string seen = inside(row_.look);
    if (done) {
      EXPECT_EQ(seen, row_.after);
    } else if (!row_.between.empty() && (fate.cut || fate.tared)) {
      EXPECT_THAT(seen, AnyOf(row_.before, row_.after, StartsWith(row_.between)));
    } else {
      EXPECT_THAT(seen, AnyOf(row_.before, row_.after));
    }
  }

  const Row& row_;
  Files files_;
  Operation operation_;
  std::uint32_t number_ = 0;
  bool woken_ = false;
};

}  // namespace

std::vector<NamedWork> file_works() {
  std::vector<NamedWork> works;
  for (const Row& row : rows()) {
    std::vector<Stepped> by = {Stepped::files};
    // To those it is an exec like any other.
    if (&row == &rows().front()) by.insert(by.end(), {Stepped::launcher, Stepped::init});
    works.push_back(
        {row.name,
         [&row](TestLauncher& launcher, bool) { return std::make_unique<FileWork>(launcher, row); },
         by});
  }
  return works;
}

}  // namespace tare::testing
