// The real tare-store program, spoken to over its socket: privileges, protocol, imports.
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>

#include "snapshot/privileges.h"
#include "snapshot/test_service.h"

namespace tare::snapshot {
namespace {

namespace fs = std::filesystem;
using test::as_file;
using test::eventually;
using test::kLimits;
using test::kRun;
using test::kUser;
using test::small_tar;
using test::tar_of;
using test::TempDir;

class StoreServiceTest : public test::RunningStore {};

TEST_F(StoreServiceTest, runs_with_exactly_the_privileges_of_the_table) {
  const std::string proc = "/proc/" + std::to_string(store_.pid());
  const std::string status = sys::read_file_at(sys::kCwd, proc + "/status").value();
  const auto sets = sys::parse_capability_status(status);
  ASSERT_TRUE(sets.ok());
  EXPECT_EQ(*sets, kStorePrivileges) << status;
  EXPECT_THAT(status, testing::HasSubstr("\nUid:\t0\t0\t0\t0\n"));
  EXPECT_THAT(status, testing::ContainsRegex("\nGroups:\t *\n"));
  EXPECT_THAT(status, testing::HasSubstr("\nUmask:\t0077\n"));
  const auto namespace_of = [](const std::string& of) {
    return sys::read_link_at(sys::kCwd, of + "/ns/net").value();
  };
  EXPECT_NE(namespace_of(proc), namespace_of("/proc/self"));
  const std::string routes = sys::read_file_at(sys::kCwd, proc + "/net/dev").value();
  EXPECT_EQ(std::count(routes.begin(), routes.end(), '\n'), 3)
      << "two lines of heading, and lo: " << routes;
}

TEST_F(StoreServiceTest, the_home_is_laid_out_for_its_owners_only) {
  const sys::SystemUser user = sys::find_user(kUser).value();
  EXPECT_EQ(home_.stat("run").st_mode, S_IFDIR | 0750U);
  EXPECT_EQ(home_.stat("run").st_gid, user.gid);
  EXPECT_EQ(home_.stat("run/store.sock").st_mode, S_IFSOCK | 0660U);
  EXPECT_EQ(home_.stat("run/store.sock").st_gid, user.gid);
  EXPECT_EQ(home_.stat("store").st_mode, S_IFDIR | 0700U);
  EXPECT_EQ(home_.stat("store").st_uid, 0U);
  EXPECT_EQ(home_.stat("runs").st_mode, S_IFDIR | 0700U);
  EXPECT_EQ(home_.stat("runs").st_uid, user.uid);
}

// The exit status of a child that connects as this user: 0 welcomed, 1 refused.
int connect_as(uid_t uid, const std::string& socket) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresuid(uid, uid, uid) != 0) ::_exit(9);
    ::_exit(StoreClient::connect(socket, "test").ok() ? 0 : 1);
  }
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  return WEXITSTATUS(status);
}

TEST_F(StoreServiceTest, only_root_and_tare_are_served_even_if_the_socket_is_open_to_all) {
  ASSERT_EQ(::chmod(home_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod((home_.path() + "/run").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(socket().c_str(), 0666), 0);
  EXPECT_EQ(connect_as(12'345, socket()), 1);
  EXPECT_EQ(connect_as(sys::find_user(kUser)->uid, socket()), 0);
}

TEST_F(StoreServiceTest, another_protocol_version_is_refused_by_name) {
  sys::UniqueFd raw = sys::connect_seqpacket(socket()).value();
  ASSERT_TRUE(sys::send_message(raw.get(), *encode(Request(Hello{99, "x"}))).ok());
  const auto reply = decode_reply(sys::receive_message(raw.get()).value()->bytes);
  ASSERT_TRUE(reply.ok());
  EXPECT_THAT(
      std::get<Failed>(*reply).message,
      testing::HasSubstr("protocol " + std::to_string(kProtocolVersion) + ", the caller 99"));
  EXPECT_FALSE(sys::receive_message(raw.get()).value().has_value()) << "and closed";
}

TEST_F(StoreServiceTest, messages_out_of_turn_or_malformed_are_refused_and_the_service_goes_on) {
  const sys::UniqueFd some = as_file("x");
  const int one[] = {some.get()};
  const std::string hello = *encode(Request(Hello{kProtocolVersion, "x"}));
  const std::string list = *encode(Request(ListLayers{}));
  struct Case {
    std::vector<std::string> messages;
    std::span<const int> fds;  // with the last
  };
  const Case cases[] = {{{list}, {}},               // no Hello
                        {{hello, hello}, {}},       // twice
                        {{hello, "\xff"}, {}},      // unknown
                        {{hello, list + "x"}, {}},  // too long
                        {{hello, list}, one},       // a descriptor too many
                        {{hello, *encode(Request(ImportTar{kLimits, 1}))}, {}}};  // one too few
  for (const Case& c : cases) {
    const sys::UniqueFd raw = sys::connect_seqpacket(socket()).value();
    for (std::size_t i = 0; i < c.messages.size(); ++i) {
      const bool last = i + 1 == c.messages.size();
      ASSERT_TRUE(
          sys::send_message(raw.get(), c.messages[i], last ? c.fds : std::span<const int>()).ok());
      const auto reply = decode_reply(sys::receive_message(raw.get()).value()->bytes);
      ASSERT_TRUE(reply.ok());
      EXPECT_EQ(std::holds_alternative<Failed>(*reply), last);
    }
    EXPECT_FALSE(sys::receive_message(raw.get()).value().has_value());
  }
  StoreClient c = client();
  EXPECT_TRUE(c.call(ListLayers{}).ok());
}

TEST_F(StoreServiceTest, an_archive_becomes_a_layer_and_the_same_again_the_same_layer) {
  StoreClient c = client();
  const std::string archive = small_tar(50, "content");
  const auto first = import(c, archive);
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_FALSE(first->reused);
  EXPECT_EQ(first->layer.entries, 51U);
  EXPECT_EQ(first->layer.bytes, 350U);
  const auto second = import(c, archive);
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_TRUE(second->reused);
  EXPECT_EQ(second->layer, first->layer);
  EXPECT_EQ(expect<LayerInfo>(c.call(StatLayer{first->layer.digest})).value(), first->layer);
  EXPECT_TRUE(expect<Verified>(c.call(VerifyLayer{first->layer.digest}))->intact);
  EXPECT_EQ(expect<LayerPage>(c.call(ListLayers{}))->layers, std::vector<LayerInfo>{first->layer});
  EXPECT_TRUE(expect<Done>(c.call(RemoveLayer{first->layer.digest})).ok());
  EXPECT_EQ(c.call(StatLayer{first->layer.digest}).error().code, Errc::not_found);
  EXPECT_TRUE(staged().empty());
}

TEST_F(StoreServiceTest, an_archive_through_a_pipe_shows_its_progress) {
  StoreClient c = client();
  sys::Pipe pipe = sys::make_pipe().value();
  const std::string archive = small_tar(1500, std::string(2000, 'x'));
  std::thread writer([&] {
    EXPECT_TRUE(sys::write_all(pipe.write.get(), archive).ok());
    pipe.write.reset();
  });
  const int fds[] = {pipe.read.get(), no_secrets_.get()};
  std::vector<Progress> seen;
  const auto reply = c.call(ImportTar{kLimits, 60'000}, fds,
                            [&](const Progress& p) { seen.push_back(p); });
  writer.join();
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(std::get<Imported>(*reply).layer.entries, 1501U);
  ASSERT_FALSE(seen.empty());
  for (std::size_t i = 1; i < seen.size(); ++i) {
    if (seen[i].hashing == seen[i - 1].hashing) {
      EXPECT_GE(seen[i].entries, seen[i - 1].entries);
    }
  }
}

TEST_F(StoreServiceTest, a_bad_archive_is_named_leaves_nothing_and_the_connection_goes_on) {
  StoreClient c = client();
  const auto refused = import(
      c, tar_of({{.name = "fine", .content = "x"}, {.name = "../evil", .content = "x"}}));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::invalid);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("../evil"));
  EXPECT_TRUE(staged().empty());
  EXPECT_TRUE(import(c, small_tar(1, "x")).ok());
}

TEST_F(StoreServiceTest, an_archive_that_never_comes_ends_at_its_deadline) {
  StoreClient c = client();
  const sys::Pipe pipe = sys::make_pipe().value();
  const int fds[] = {pipe.read.get(), no_secrets_.get()};
  const auto reply = c.call(ImportTar{kLimits, 200}, fds);
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code, Errc::timeout);
  EXPECT_TRUE(eventually([&] { return staged().empty(); }));
}

TEST_F(StoreServiceTest, a_client_that_goes_away_takes_its_job_with_it) {
  const sys::Pipe pipe = sys::make_pipe().value();
  {
    StoreClient c = client();
    const int fds[] = {pipe.read.get(), no_secrets_.get()};
    ASSERT_TRUE(c.send(ImportTar{kLimits, 600'000}, fds).ok());
    ASSERT_TRUE(eventually([&] { return !staged().empty(); }));
  }
  EXPECT_TRUE(eventually([&] { return staged().empty(); }));
  EXPECT_TRUE(eventually([&] { return test::descendants(store_.pid()).empty(); }));
}

TEST_F(StoreServiceTest, the_agents_files_come_in_chunks) {
  StoreClient c = client();
  std::vector<FileItem> items;
  std::vector<sys::UniqueFd> files;
  std::vector<int> fds;
  for (int i = 0; i < 200; ++i) {
    items.push_back({"src/f" + std::to_string(i), 0640});
    files.push_back(as_file("file " + std::to_string(i)));
    fds.push_back(files.back().get());
  }
  const auto imported = c.import_files(FilesOf::agent, items, fds, no_secrets_.get());
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_EQ(imported->layer.entries, 203U);
  const std::string root = "store/layers/" + imported->layer.digest.substr(7) + "/root/home/agent/";
  EXPECT_EQ(home_.read(root + "src/f199"), "file 199");
  EXPECT_EQ(home_.stat(root + "src/f7").st_uid, 1000U);
  EXPECT_EQ(home_.stat(root + "src/f7").st_mode, S_IFREG | 0640U);
}

// What caches compiled code by path, length and time must not take one for the other.
TEST_F(StoreServiceTest, a_runners_files_are_roots_and_their_times_follow_from_their_content) {
  const auto import = [&](std::string_view text) {
    StoreClient c = client();
    const std::vector<FileItem> items = {{"lib/tare.py", 0644}, {"main", 0755}};
    const sys::UniqueFd first = as_file(text), second = as_file("same");
    const int fds[] = {first.get(), second.get()};
    const auto imported = c.import_files(FilesOf::runner, items, fds, no_secrets_.get());
    EXPECT_TRUE(imported.ok()) << imported.error().message;
    return "store/layers/" + imported->layer.digest.substr(7) + "/root/";
  };
  const std::string one = import("x = 1"), two = import("x = 2");
  EXPECT_NE(one, two);
  EXPECT_EQ(import("x = 1"), one);
  EXPECT_EQ(home_.read(one + "lib/tare.py"), "x = 1");
  EXPECT_EQ(home_.stat(one + "lib/tare.py").st_uid, 0U);
  EXPECT_EQ(home_.stat(one + "lib").st_uid, 0U);
  EXPECT_EQ(home_.stat(one + "main").st_mode, S_IFREG | 0755U);
  EXPECT_NE(home_.stat(one + "lib/tare.py").st_mtime, home_.stat(two + "lib/tare.py").st_mtime);
  EXPECT_EQ(home_.stat(one + "main").st_mtime, home_.stat(two + "main").st_mtime);
}

TEST_F(StoreServiceTest, an_agents_file_that_would_leave_its_home_is_refused) {
  for (const std::string name : {"../x", "/etc/x", "a/../../x", "", "."}) {
    StoreClient c = client();
    const std::vector<FileItem> items(130, {name, 0644});
    const sys::UniqueFd file = as_file("x");
    const std::vector<int> fds(items.size(), file.get());
    const auto refused = c.import_files(FilesOf::agent, items, fds, no_secrets_.get());
    ASSERT_FALSE(refused.ok()) << name;
    EXPECT_EQ(refused.error().code, Errc::invalid) << refused.error().message;
  }
  StoreClient c = client();
  const sys::Pipe pipe = sys::make_pipe().value();
  const FileItem item{"fifo", 0644};
  const int fds[] = {pipe.read.get()};
  EXPECT_THAT(test::why(c.import_files(FilesOf::agent, {&item, 1}, fds, no_secrets_.get())),
              testing::HasSubstr("a regular file is expected"));
  EXPECT_TRUE(staged().empty());
}

TEST_F(StoreServiceTest, collects_output_and_removes_the_run) {
  const sys::SystemUser user = sys::find_user(kUser).value();
  ASSERT_TRUE(sys::make_dir_at(home_.fd(), "runs/" + kRun, 0700).ok());
  ASSERT_TRUE(sys::own_at(home_.fd(), "runs/" + kRun, user.uid, user.gid).ok());
  const TempDir output;
  const int fds[] = {output.fd()};
  const Collect request{kRun, 0, 65'536, kLimits, 60'000};
  StoreClient c = client();
  auto collected = expect<Collected>(c.call(request, fds));
  ASSERT_TRUE(collected.ok()) << collected.error().message;
  EXPECT_EQ(collected->files, 0U);
  output.write("report.md", "# done", 0);
  collected = expect<Collected>(c.call(request, fds));
  ASSERT_TRUE(collected.ok()) << collected.error().message;
  EXPECT_EQ(collected->files, 1U);
  EXPECT_EQ(home_.read("runs/" + kRun + "/output/report.md"), "# done");
  EXPECT_EQ(home_.stat("runs/" + kRun + "/output/report.md").st_uid, user.uid);
  EXPECT_TRUE(expect<Done>(c.call(RemoveRun{kRun})).ok());
  EXPECT_FALSE(home_.has("runs/" + kRun));
}

// What was compared with the known layer was linked; all else of it may be damaged all the same.
TEST_F(StoreServiceTest, a_damaged_layer_is_exchanged_for_the_good_one_of_a_freeze_since_it) {
  const sys::UniqueFd upper = home_.folder("upper"), folder = home_.folder("upper/d");
  const sys::UniqueFd opaque = as_file(""), none = as_file("");
  for (const char* name : {"upper/f", "upper/d/g", "upper/twice"}) home_.write(name, "content");
  fs::create_hard_link(home_.path() + "/upper/twice", home_.path() + "/upper/again");
  fs::create_symlink("f", home_.path() + "/upper/link");
  StoreClient c = client();
  const auto freeze = [&](const std::string& since) {
    const int fds[] = {upper.get(), opaque.get(), none.get()};
    Freeze wanted = freeze_of();
    wanted.since = since;
    return expect<Imported>(c.call(wanted, fds)).value();
  };
  const std::string digest = freeze("").layer.digest;
  const auto is_intact = [&] {
    return expect<Verified>(c.call(VerifyLayer{digest})).value().intact;
  };
  EXPECT_TRUE(freeze(digest).reused);
  const std::string root = "store/layers/" + digest.substr(7) + "/root/";
  const fs::path at = fs::path(home_.path()) / root;
  // Its time stays.
  const auto rewrite = [&](const char* name, const char* text) {
    const auto time = fs::last_write_time(at / name);
    home_.write(root + name, text);
    fs::last_write_time(at / name, time);
  };
  const std::vector<std::pair<std::string, std::function<void()>>> damages = {
      {"a byte", [&] { rewrite("f", "Content"); }},
      {"longer", [&] { rewrite("f", "content, and more"); }},
      {"missing", [&] { fs::remove(at / "d/g"); }},
      {"a file's mode", [&] { fs::permissions(at / "f", static_cast<fs::perms>(0600)); }},
      {"a folder's mode", [&] { fs::permissions(at / "d", static_cast<fs::perms>(0700)); }},
      {"one of several names", [&] { rewrite("twice", "Content"); }},
      {"a link",
       [&] {
         fs::remove(at / "link");
         fs::create_symlink("d", at / "link");
       }},
      {"a stranger", [&] { home_.write(root + "d/stranger", "x"); }},
  };
  for (const auto& [what, damage] : damages) {
    damage();
    ASSERT_FALSE(is_intact()) << what;
    const Imported again = freeze(digest);
    EXPECT_FALSE(again.reused) << what;
    EXPECT_EQ(again.layer.digest, digest) << what;
    ASSERT_TRUE(is_intact()) << what;
  }
  EXPECT_TRUE(freeze(digest).reused) << "and a good one stays";
}

TEST_F(StoreServiceTest, many_clients_at_once_are_all_served) {
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 24; ++i) {
    threads.emplace_back([&, i] {
      StoreClient c = client();
      const auto imported = import(c, small_tar(20, std::to_string(i % 6)));
      if (imported)
        ++good;
      else
        ADD_FAILURE() << imported.error().message;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 24);
  StoreClient c = client();
  EXPECT_EQ(expect<LayerPage>(c.call(ListLayers{}))->layers.size(), 6U);
  expect_only_whole_layers();
}

}  // namespace
}  // namespace tare::snapshot
